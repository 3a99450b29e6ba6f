"""The routes, one module a resource: what comes in, one call, what goes out."""

from gateway.routes import (
    admin,
    admin_credits,
    admin_organizations,
    admin_payments,
    audit_trail,
    cart,
    catalog,
    credit,
    deployments,
    health,
    orders,
    organization,
    reading,
    sessions,
    support_cards,
    webhooks,
)

BLUEPRINTS = (
    sessions.routes,
    organization.routes,
    deployments.routes,
    catalog.routes,
    cart.routes,
    orders.routes,
    credit.routes,
    support_cards.routes,
    webhooks.routes,
    admin.routes,
    admin_credits.routes,
    admin_payments.routes,
    audit_trail.routes,
    admin_organizations.routes,
    health.routes,
    reading.routes,
)
