"""Find out what became of attempts whose outcome is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payments import storage
from payments.domain.provider import Attempt, NotSeen, Outcome, Unknown
from payments.use_cases.record_outcome import record_outcome

if TYPE_CHECKING:
    from payments.bootstrap import App

#: Attempts settled by one run, so that a stop of the process need not wait for a backlog.
_BATCH = 100


def settle_payments(app: App) -> int:
    """Settle the attempts that are due, as long as the provider makes sense.

    The first answer that is none ends the run: a provider in trouble is probed once a run, not once an attempt.

    Returns:
        How many attempts were settled.
    """
    for settled in range(_BATCH):
        with app.database.transaction() as tx:
            attempt = storage.claim_due_attempt(tx, app.lease)
        if attempt is None or isinstance(settle_attempt(app, attempt), Unknown):
            return settled
    return _BATCH


def settle_attempt(app: App, attempt: Attempt) -> Outcome:
    """Ask the provider about the attempt's key, and charge (with the same key) if nothing has reached it.

    One that is to be given up is never charged again: the provider is asked to void it until it has answered.
    """
    if attempt.void_wanted:
        return record_outcome(app, attempt, app.provider.void(attempt.key))
    found = app.provider.find(attempt.key)
    if isinstance(found, NotSeen):
        found = app.provider.charge(attempt.key, attempt.token, attempt.amount, attempt.order_id)
    return record_outcome(app, attempt, found)
