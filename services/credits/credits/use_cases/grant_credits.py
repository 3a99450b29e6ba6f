"""Staff give an organisation credits that it has not bought."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chassis.identity import Identity
from chassis.persistence import IdempotencyKeys, Transaction, request_hash
from credits.bootstrap import App
from credits.domain.validity import expiry, valid_days
from credits.messages import Granted
from credits.storage import ledger
from credits.use_cases import holdings
from credits.use_cases.replies import replayed
from kernel.clock import rfc3339
from kernel.errors import invalid
from kernel.ids import new_id

_ANSWER = Granted()


def grant_credits(
    app: App, caller: Identity, *, idempotency_key: str, organization_id: str, credits: int, reason: str,
    expires_at: datetime | None,
) -> dict[str, Any]:  # fmt: skip
    """Bring credits to an organisation's balance for free.

    Args:
        app: the service's parts.
        caller: finance, or a superuser.
        idempotency_key: the caller's.
        organization_id: whose balance.
        credits: how many.
        reason: shown in the organisation's statement.
        expires_at: from when on they cannot be used; None: as the setting says.

    Raises:
        Refusal: `forbidden`; `not_found`: there is no such organisation; `expiry_is_past`; `idempotency_key_reused`,
            `idempotency_key_in_flight`.
    """
    caller.require("finance", "superuser")
    what = {
        "organization_id": organization_id, "credits": credits, "reason": reason,
        "expires_at": rfc3339(expires_at) if expires_at else None,
    }  # fmt: skip
    app.accounts.check_organization(organization_id)
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if known := keys.begin(idempotency_key, request_hash("grant_credits", what)):
            return replayed(known, _ANSWER)
        if expires_at is not None and expires_at <= tx.now:
            raise invalid("expiry_is_past", "The credits would have expired already.", "expires_at")
        until = expires_at or expiry(valid_days(None, app.credits_valid_days), tx.now)
        answer = _grant(tx, organization_id, credits, reason, until)
        tx.audit(caller, "credits.granted", answer["id"], organization_id, credits=credits, reason=reason)
        keys.finish(idempotency_key, _ANSWER.dump(answer))
    return {**answer, "replayed": False}


def _grant(
    tx: Transaction, organization_id: str, credits: int, reason: str, expires_at: datetime | None
) -> dict[str, Any]:
    account = ledger.open_account(tx, ledger.organization_account(organization_id))
    before = holdings.lock(tx, organization_id).balance
    posted = ledger.post(
        tx, "grant", cause=f"staff:{new_id('gra')}", source=ledger.ISSUANCE, destination=account, amount=credits,
        memo=reason, expires_at=expires_at, free=True,
    )  # fmt: skip
    return {
        "id": posted, "organization_id": organization_id, "credits": credits, "balance": before + credits,
        "expires_at": expires_at,
    }  # fmt: skip
