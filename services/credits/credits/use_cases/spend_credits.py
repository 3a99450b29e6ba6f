"""Spend credits of an organisation, once for each cause."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from credits.bootstrap import App
from credits.messages import Spent
from credits.storage import ledger
from credits.use_cases import holdings
from credits.use_cases.replies import replayed
from kernel.errors import conflict

_ANSWER = Spent()


def spend_credits(
    app: App, caller: Identity, *, idempotency_key: str, organization_id: str, credits: int, cause: str, memo: str
) -> dict[str, Any]:
    """Take credits off an organisation's balance, what expires first before the rest; never more than there are.

    Args:
        app: the service's parts.
        caller: support, or a superuser.
        idempotency_key: the caller's.
        organization_id: whose credits.
        credits: how many.
        cause: what for; the same organisation never pays for the same cause again, under no key.
        memo: a line for the organisation's statement.

    Raises:
        Refusal: `forbidden`; `insufficient_credits` with the balance; `already_spent`; `idempotency_key_reused`,
            `idempotency_key_in_flight`.
    """
    caller.require("support", "superuser")
    what = {"organization_id": organization_id, "credits": credits, "cause": cause, "memo": memo}
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request_hash("spend_credits", what)):
            return replayed(known, _ANSWER)
        answer = _spend(tx, organization_id, credits, cause, memo)
        tx.audit(caller, "credits.spent", answer["id"], organization_id, credits=credits, cause=cause)
        keys.finish(idempotency_key, _ANSWER.dump(answer))
    return {**answer, "replayed": False}


def _spend(tx: Transaction, organization_id: str, credits: int, cause: str, memo: str) -> dict[str, Any]:
    holding = holdings.lock(tx, organization_id)
    full_cause = f"spend:{organization_id}:{cause}"
    if ledger.is_posted(tx, full_cause):
        raise conflict("already_spent", "Credits were spent for this cause before. Name another cause.")
    holding.require(credits)
    posted = holding.take(
        tx, "spend", credits=credits, cause=full_cause, destination=ledger.USAGE, memo=memo
    )  # fmt: skip
    left = holding.balance - credits
    return {"id": posted, "organization_id": organization_id, "credits": credits, "balance": left}
