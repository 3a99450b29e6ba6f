"""Whether a ticket would be accepted, and why not (mission, B5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from kernel.errors import Kind, Refusal

#: Who may open tickets for their organisation.
OPENERS = ("ticket", "buyer", "admin")
#: Who may read them too.
READERS = ("ticket", "viewer", "buyer", "admin")
#: Staff who may work on any ticket; all of them may see it.
WORKERS = ("support", "superuser")


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that is bound to a deployment."""

    sku: str
    name: str
    bound_at: datetime
    starts_on: date | None = None
    ends_on: date | None = None

    def runs_on(self, day: date) -> bool:
        """Whether it is in force on a day; what has no first or last day is so without a limit there."""
        return (self.starts_on is None or self.starts_on <= day) and (self.ends_on is None or day <= self.ends_on)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A deployment that the customer may name, with its contracts."""

    deployment_id: str
    name: str
    active: bool
    contracts: Sequence[Contract]


def objections(role: str, coverage: Coverage, balance: int, cap_credits: int, today: date) -> list[Refusal]:
    """Everything that stands in the way of a ticket; nothing if it would be accepted.

    Args:
        role: of whoever would open it.
        coverage: of the deployment.
        balance: credits that the organisation can use.
        cap_credits: to be held.
        today: in UTC, as the days of contracts are.
    """
    found = []
    if role not in OPENERS:
        found.append(Refusal(Kind.FORBIDDEN, "forbidden", f"This needs the role {' or '.join(OPENERS)}."))
    if not coverage.active:
        found.append(Refusal(Kind.CONFLICT, "deployment_retired", "This deployment is retired: choose another one."))
    if not coverage.contracts:
        found.append(
            Refusal(Kind.CONFLICT, "no_contract", "No active support contract is bound to this deployment. Buy one.")
        )
    elif not any(contract.runs_on(today) for contract in coverage.contracts):
        ended_on = max(contract.ends_on for contract in coverage.contracts if contract.ends_on is not None)
        found.append(
            Refusal(
                Kind.CONFLICT, "contract_expired",
                f"The support contract of this deployment ended on {ended_on}. Renew it.",
                extra={"ended_on": ended_on.isoformat()},
            )
        )  # fmt: skip
    if balance < cap_credits:
        found.append(
            Refusal(
                Kind.CONFLICT, "insufficient_credits",
                f"Your organization has {balance} credits, and this ticket is to hold {cap_credits}.",
                extra={"balance": balance},
            )
        )  # fmt: skip
    return found
