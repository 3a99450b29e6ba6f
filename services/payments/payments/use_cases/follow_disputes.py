"""Follow what the provider says about disputes, and tell the store of it.

A webhook has it looked at once; whether one comes or not, the provider's list of changes is read from where it was read
before, so that none is missed. A dispute whose charge is not known here (yet) is kept, and told once it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from payments import dispute_storage, messages
from payments.domain.provider import DisputeState, Unknown

if TYPE_CHECKING:
    from chassis.observability.metrics import Sample
    from chassis.persistence import Row, Transaction
    from payments.bootstrap import App

log = logging.getLogger(__name__)

#: Lists read by one run, so that a stop of the process need not wait for a backlog.
_AT_MOST = 100


def follow_disputes(app: App) -> int:
    """Note every change there is, and tell of it. Several processes may do so at once: each is told once.

    Returns:
        How many changed disputes the provider has named.
    """
    seen = 0
    for _ in range(_AT_MOST):
        with app.database.reading() as reader:
            cursor = dispute_storage.cursor(reader)
        news = app.provider.changed_disputes(cursor)
        if isinstance(news, Unknown):
            log.warning("the provider cannot be asked about disputes now", extra={"reason": news.reason})
            break
        with app.database.transaction() as tx:
            for found in news.disputes:
                if dispute_storage.note(tx, found):
                    _tell_closed(tx, dispute_storage.find_by_provider(tx, found.dispute_id))
            for placed in dispute_storage.place(tx):
                _tell_opened(tx, placed)
            if news.cursor != cursor:
                dispute_storage.move_cursor(tx, news.cursor)
        seen += len(news.disputes)
        if not news.disputes:
            break
    return seen


def sampler(app: App) -> Callable[[], Iterator[Sample]]:
    """The gauges: disputes that are open, and the seconds until the first without evidence hears no more."""

    def samples() -> Iterator[Sample]:
        with app.database.reading() as reader:
            count, first = dispute_storage.how_many_are_open(reader)
        yield "punchcard_disputes_open", (), count
        if first is not None:
            yield "punchcard_disputes_evidence_due_seconds", (), (first - reader.now).total_seconds()

    return samples


def _tell_opened(tx: Transaction, dispute: Row) -> None:
    log.warning("a charge is disputed", extra={"order_id": dispute["order_id"], "reason": dispute["reason"]})
    tx.emit(
        messages.DISPUTE_OPENED,
        {**_facts(dispute), "reason": dispute["reason"], "opened_at": dispute["opened_at"]},
    )
    if dispute["state"] != DisputeState.OPEN:  # it was closed before its charge was known
        _tell_closed(tx, dispute)


def _tell_closed(tx: Transaction, dispute: Row | None) -> None:
    if dispute is None or dispute["intent_id"] is None:  # told when its charge is known
        return
    tx.emit(
        messages.DISPUTE_CLOSED,
        {**_facts(dispute), "outcome": dispute["state"], "closed_at": dispute["closed_at"]},
    )


def _facts(dispute: Row) -> dict[str, Any]:
    return {
        "dispute_id": dispute["id"],
        "order_id": dispute["order_id"],
        "intent_id": dispute["intent_id"],
        "amount": {"amount_minor": dispute["amount_minor"], "currency": dispute["currency"]},
        "captured": {"amount_minor": dispute["captured_minor"], "currency": dispute["currency"]},
    }
