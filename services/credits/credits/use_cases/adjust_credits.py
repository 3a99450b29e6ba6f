"""Staff put an organisation's balance right."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from credits.bootstrap import App
from credits.messages import Adjusted
from credits.storage import ledger
from credits.use_cases import holdings
from credits.use_cases.replies import replayed
from kernel.ids import new_id

_ANSWER = Adjusted()


def adjust_credits(
    app: App, caller: Identity, *, idempotency_key: str, organization_id: str, credits: int, reason: str
) -> dict[str, Any]:
    """Add credits to a balance or take some off; never more than there are.

    Args:
        app: the service's parts.
        caller: finance, or a superuser.
        idempotency_key: the caller's.
        organization_id: whose balance.
        credits: how many; negative to take them off.
        reason: shown in the organisation's statement.

    Raises:
        Refusal: `forbidden`; `not_found`: there is no such organisation; `insufficient_credits` with the balance;
            `idempotency_key_reused`, `idempotency_key_in_flight`.
    """
    caller.require("finance", "superuser")
    what = {"organization_id": organization_id, "credits": credits, "reason": reason}
    app.accounts.check_organization(organization_id)
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request_hash("adjust_credits", what)):
            return replayed(known, _ANSWER)
        answer = _adjust(tx, organization_id, credits, reason)
        tx.audit(caller, "credits.adjusted", answer["id"], organization_id, credits=credits, reason=reason)
        keys.finish(idempotency_key, _ANSWER.dump(answer))
    return {**answer, "replayed": False}


def _adjust(tx: Transaction, organization_id: str, credits: int, reason: str) -> dict[str, Any]:
    cause = f"staff:{new_id('adj')}"
    if credits > 0:
        account = ledger.open_account(tx, ledger.organization_account(organization_id))
        holding = holdings.lock(tx, organization_id)
        posted = ledger.post(
            tx, "adjustment", cause=cause, source=ledger.ISSUANCE, destination=account, amount=credits, memo=reason,
            free=True,
        )  # fmt: skip
    else:
        holding = holdings.lock(tx, organization_id)
        holding.require(-credits)
        posted = holding.take(
            tx, "adjustment", credits=-credits, cause=cause, destination=ledger.ISSUANCE, memo=reason
        )  # fmt: skip
    return {
        "id": posted, "organization_id": organization_id, "credits": credits, "balance": holding.balance + credits
    }  # fmt: skip
