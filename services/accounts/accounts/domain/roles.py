"""Roles: what a user may do (clause 1 of the mission)."""

from __future__ import annotations

from kernel.errors import invalid

#: Roles of customers: open tickets; look; buy; manage the organisation.
CUSTOMER_ROLES = ("ticket", "viewer", "buyer", "admin")
#: Roles of the platform's own people.
STAFF_ROLES = ("finance", "support", "superuser")
#: Who sees the organisation's own record; who keeps its address book.
READERS = ("viewer", "buyer", "admin")
BUYERS = ("buyer", "admin")
#: Who manages the users of the own organisation, a customer's or the platform's; one of them there is always.
MANAGERS = ("admin", "superuser")
ROLES = CUSTOMER_ROLES + STAFF_ROLES


def check_role(role: str, *, platform: bool) -> None:
    """Staff belong to a platform organisation, customers never do.

    Args:
        role: the role that a user is to have.
        platform: whether the user's organisation runs the store.

    Raises:
        Refusal: `role_invalid`.
    """
    allowed = STAFF_ROLES if platform else CUSTOMER_ROLES
    if role not in allowed:
        raise invalid("role_invalid", f"A user of this organisation is one of {', '.join(allowed)}.", "role")
