"""Remind those who have not paid yet, and stop waiting for those who have not paid in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payments import messages, remittance_storage
from payments.use_cases.end_remittance import end_overdue
from payments.use_cases.remittance_views import told_to_payer

if TYPE_CHECKING:
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App

#: Steps in one run, so that a stop of the process need not wait for a backlog.
_BATCH = 200


def chase_remittances(app: App) -> int:
    """Do the steps that are due, each in a transaction of its own; several processes share them.

    Returns:
        How many there were.
    """
    for done in range(_BATCH):
        with app.database.transaction() as tx:
            awaited = remittance_storage.claim_next_step(tx)
            if awaited is None:
                return done
            if awaited["expires_at"] <= tx.now:
                end_overdue(tx, awaited)
            else:
                _remind(app, tx, awaited)
    return _BATCH


def _remind(app: App, tx: Transaction, awaited: Row) -> None:
    """One reminder, however many were missed while nobody swept."""
    terms = app.remittances.get(awaited["method"])
    following = terms.next_reminder_at(awaited["issued_at"], tx.now) if terms else None
    next_step_at = min(following or awaited["expires_at"], awaited["expires_at"])
    number = remittance_storage.note_reminder(tx, awaited["id"], next_step_at)
    received = remittance_storage.received_minor(tx, awaited["id"])
    tx.emit(messages.REMINDER_ISSUED, {**told_to_payer(app, awaited, received), "reminder": number})
