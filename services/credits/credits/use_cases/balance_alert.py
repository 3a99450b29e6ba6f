"""Tell an organisation when its balance falls below what it has named."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from chassis.persistence import Transaction
from credits.bootstrap import App
from credits.messages import BALANCE_LOW
from credits.storage import alerts


def get_alert(app: App, caller: Identity) -> dict[str, Any]:
    """From which balance down the caller's organisation is alerted, and who gets the mail."""
    with app.database.reading() as reader:
        found = alerts.find(reader, caller.organization_id)
    return {"threshold": found["threshold"], "email": found["email"]} if found else {"threshold": None, "email": None}


def set_alert(app: App, caller: Identity, *, threshold: int | None) -> dict[str, Any]:
    """Have the caller told by mail each time the balance falls below a threshold; nothing is sent if it is already.

    Args:
        app: the service's parts.
        caller: a buyer or admin; the mails go to them.
        threshold: credits; None: no alert any more.

    Raises:
        Refusal: `forbidden`.
    """
    caller.require("buyer", "admin")
    values = {
        "organization_name": caller.organization, "threshold": threshold, "email": caller.email, "name": caller.name,
        "language": caller.language,
    }  # fmt: skip
    with app.database.transaction() as tx:
        alerts.put(tx, caller.organization_id, None if threshold is None else values)
        tx.audit(caller, "credits.alert_set", caller.organization_id, caller.organization_id, threshold=threshold)
    return {"threshold": threshold, "email": None if threshold is None else caller.email}


def alert_if_low(tx: Transaction, organization_id: str, entry_id: str, before: int, after: int) -> None:
    """Say that a balance has fallen below its threshold: only as it passes it, so once until it was above again.

    Args:
        tx: the one that has locked the account.
        organization_id: whose balance.
        entry_id: the entry with which it fell.
        before, after: the balance.
    """
    wanted = alerts.find(tx, organization_id)
    if wanted is None or not before >= wanted["threshold"] > after:
        return
    tx.emit(
        BALANCE_LOW,
        {
            "entry_id": entry_id,
            "organization": {"id": organization_id, "name": wanted["organization_name"]},
            "recipient": {"email": wanted["email"], "name": wanted["name"], "language": wanted["language"]},
            "balance": after,
            "threshold": wanted["threshold"],
        },
    )
