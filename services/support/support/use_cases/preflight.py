"""Say whether a ticket would be accepted (mission, B5)."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from kernel.clock import rfc3339
from kernel.errors import Refusal
from support.bootstrap import App
from support.domain.preflight import READERS, Coverage, objections


def preflight(app: App, caller: Identity, *, deployment_id: str, cap_credits: int) -> dict[str, Any]:
    """Whether a ticket on a deployment would be accepted, with everything that stands in its way. Changes nothing.

    Args:
        app: the parts.
        caller: any user of a customer.
        deployment_id: what the ticket would be about.
        cap_credits: what it would hold.

    Raises:
        Refusal: `forbidden` for staff; `not_found`: the caller may not name such a deployment; `unavailable`.
    """
    caller.require(*READERS)
    coverage, balance, found = look(app, caller, deployment_id, cap_credits)
    return {
        "accepted": not found,
        "reasons": [{"code": refusal.code, "detail": refusal.detail} for refusal in found],
        "deployment": {"id": coverage.deployment_id, "name": coverage.name},
        "contracts": [
            {
                "sku": contract.sku,
                "name": contract.name,
                "bound_at": rfc3339(contract.bound_at),
                "starts_on": contract.starts_on.isoformat() if contract.starts_on else None,
                "ends_on": contract.ends_on.isoformat() if contract.ends_on else None,
            }
            for contract in coverage.contracts
        ],
        "balance": balance,
        "cap_credits": cap_credits,
    }


def look(
    app: App, caller: Identity, deployment_id: str, cap_credits: int
) -> tuple[Coverage, int, list[Refusal]]:  # fmt: skip
    """What accounts says of the deployment, the balance, and what stands in the way.

    Raises:
        Refusal: `not_found`; `unavailable`.
    """
    coverage = app.accounts.get_coverage(deployment_id)
    balance = app.credits.balance()
    return coverage, balance, objections(caller.role, coverage, balance, cap_credits, app.database.clock.now().date())
