"""Write down what the provider said, with its event, in one transaction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chassis import failpoints
from kernel.clock import rfc3339
from payments import messages, remittance_storage, storage
from payments.domain.declines import decline, decline_code
from payments.domain.provider import Attempt, Captured, Declined, Outcome, RequiresAction, Voided, believe
from payments.use_cases.keep_charged_card import keep_charged_card
from payments.use_cases.return_strays import suspect

if TYPE_CHECKING:
    from chassis.persistence import Transaction
    from payments.bootstrap import App

_log = logging.getLogger(__name__)


def record_outcome(app: App, attempt: Attempt, outcome: Outcome) -> Outcome:
    """Settle the attempt, or have the provider asked again later. Whoever comes second changes nothing.

    Returns:
        The outcome as far as it can be believed.
    """
    failpoints.reach("payments.charged")
    believed = believe(outcome, attempt.amount)
    with app.database.transaction() as tx:
        if isinstance(believed, Captured):
            _captured(app, tx, attempt, believed)
        elif isinstance(believed, Declined):
            _declined(tx, attempt, believed)
        elif isinstance(believed, Voided):
            _voided(tx, attempt)
        elif isinstance(believed, RequiresAction):
            storage.await_payer(tx, attempt, believed)
            _log.info("payment attempt %s waits for its payer", attempt.id)
        else:
            storage.check_later(tx, attempt, believed.retry_after_s)
            _log.warning("payment attempt %s is unsettled: %s", attempt.id, believed.reason)
    return believed


def _captured(app: App, tx: Transaction, attempt: Attempt, captured: Captured) -> None:
    if storage.mark_captured(tx, attempt, captured):
        tx.emit(
            messages.CAPTURED,
            {
                "order_id": attempt.order_id,
                "intent_id": attempt.intent_id,
                "method": "card",
                "amount": captured.amount.as_dict(),
                "card": {"brand": captured.card.brand, "last4": captured.card.last4},
                "provider_charge_id": captured.charge_id,
                "captured_at": captured.captured_at,
            },
        )
        if attempt.save:
            keep_charged_card(app, tx, attempt, captured)
        _log.info("payment attempt %s captured at %s", attempt.id, rfc3339(captured.captured_at))
    else:
        suspect(app, tx, attempt.key)


def _declined(tx: Transaction, attempt: Attempt, declined: Declined) -> None:
    code = decline_code(declined.code)
    if remittance_storage.has_instructions(tx, attempt.intent_id):
        # a card was tried for what was to be paid by wire or check: only the attempt has failed
        if storage.mark_attempt_failed(tx, attempt, code):
            remittance_storage.await_again(tx, attempt.intent_id)
            _log.info("payment attempt %s failed: %s; the money is awaited again", attempt.id, code)
        return
    if storage.is_replaced(tx, attempt.id):
        storage.mark_attempt_failed(tx, attempt, code)
        return
    if storage.mark_failed(tx, attempt, code):
        tx.emit(
            messages.FAILED,
            {"order_id": attempt.order_id, "intent_id": attempt.intent_id, "decline": decline(code)},
        )
        _log.info("payment attempt %s failed: %s", attempt.id, code)


def _voided(tx: Transaction, attempt: Attempt) -> None:
    if storage.is_replaced(tx, attempt.id):
        # the order is to be paid in another way: only the attempt is given up
        if storage.mark_attempt_voided(tx, attempt):
            if remittance_storage.has_instructions(tx, attempt.intent_id):
                remittance_storage.await_again(tx, attempt.intent_id)
            _log.info("payment attempt %s voided; another one follows", attempt.id)
        return
    if storage.mark_voided(tx, attempt):
        tx.emit(messages.VOIDED, {"order_id": attempt.order_id, "intent_id": attempt.intent_id})
        _log.info("payment attempt %s voided", attempt.id)
