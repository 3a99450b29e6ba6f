"""Give back by itself what the provider took for an attempt that had ended without it (docs/adr/0029).

Once: one row an attempt, whose id is the key of the refund at the provider. It is no refund of the order, for which it
never paid, so that neither the order nor what may be refunded of it changes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from chassis import failpoints
from kernel.money import Money
from payments import stray_storage
from payments.domain.provider import Captured, NotSeen, Refunded, RefundRefused, Unknown, believe_refund
from payments.domain.strays import StrayState

if TYPE_CHECKING:
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App

_log = logging.getLogger(__name__)

#: Settled by one run, so that a stop of the process need not wait for a backlog.
_BATCH = 100


def suspect(app: App, tx: Transaction, key: str) -> None:
    """Somebody says that the provider has taken money under a key: see to it, if it should have taken none."""
    if stray_storage.suspect(tx, key):
        tx.after_commit(app.return_strays_soon)


def return_strays(app: App) -> None:
    """Go on with all that are due, as long as the provider makes sense (as `settle_payments` does)."""
    for _ in range(_BATCH):
        with app.database.transaction() as tx:
            stray = stray_storage.claim_due(tx, app.lease)
        if stray is None or not _go_on(app, stray):
            return


def _go_on(app: App, stray: Row) -> bool:
    """Do the step that is next; whether the provider made sense."""
    if stray["state"] == StrayState.SUSPECTED:
        return _look(app, stray)
    return _give_back(app, stray)


def _look(app: App, stray: Row) -> bool:
    """Ask by voiding again: the answer is what was taken or, from now on for certain, that nothing can be."""
    found = app.provider.void(stray["provider_key"])
    with app.database.transaction() as tx:
        if isinstance(found, Captured):
            if stray_storage.mark_found(tx, stray["id"], found):
                tx.audit(None, "stray_capture.found", stray["order_id"], stray["organization_id"],
                         **_about(stray, found.charge_id, found.amount))  # fmt: skip
                _log.error(
                    "the provider took money for an attempt that was over; it is given back",
                    extra={"order_id": stray["order_id"], "stray_id": stray["id"]},
                )
        elif isinstance(found, Unknown):
            stray_storage.check_later(tx, stray, found.retry_after_s)
            return False
        else:
            stray_storage.forget(tx, stray["id"])
    return True


def _give_back(app: App, stray: Row) -> bool:
    amount = Money(stray["amount_minor"], stray["currency"])
    outcome = app.provider.find_refund(stray["id"])
    if isinstance(outcome, NotSeen):
        outcome = app.provider.refund(stray["id"], stray["provider_charge_id"], amount)
    failpoints.reach("payments.refunded")
    believed = believe_refund(outcome, amount)
    about = _about(stray, stray["provider_charge_id"], amount)
    with app.database.transaction() as tx:
        if isinstance(believed, Refunded):
            if stray_storage.mark_returned(tx, stray["id"], believed):
                tx.audit(None, "stray_capture.returned", stray["order_id"], stray["organization_id"], **about)
        elif isinstance(believed, RefundRefused):
            if stray_storage.mark_refused(tx, stray["id"], believed.code):
                tx.audit(None, "stray_capture.refused", stray["order_id"], stray["organization_id"], **about,
                         failure_code=believed.code)  # fmt: skip
                _log.error("the provider refuses to give a stray capture back: %s", believed.code,
                           extra={"order_id": stray["order_id"], "stray_id": stray["id"]})  # fmt: skip
        else:
            stray_storage.check_later(tx, stray, believed.retry_after_s)
            return False
    return True


def _about(stray: Row, charge_id: str, amount: Money) -> dict[str, Any]:
    return {"stray_id": stray["id"], "provider_charge_id": charge_id, **amount.as_dict()}
