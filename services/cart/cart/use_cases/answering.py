"""Answer the requests that pay for an order: now, again under the same Idempotency-Key, or after a crash."""

from __future__ import annotations

from typing import Any

from cart import storage
from cart.bootstrap import App
from cart.domain.order import Order
from cart.use_cases.resume_orders import claim, resume_order
from cart.use_cases.settle_order import Answer
from cart.use_cases.views import order_view
from chassis.persistence import Answer as KnownAnswer
from chassis.persistence import in_flight, refuse_as_kept


def answer_again(app: App, known: KnownAnswer) -> dict[str, Any]:
    """Replay the first answer; or, if its process seems to have died, do what is left of its work.

    Raises:
        Refusal: the answer is one; `idempotency_key_in_flight`; `unavailable`.
    """
    if known.answer is not None:
        return reply(known.answer, replayed=True)
    with app.database.transaction() as transaction:
        order = claim(app, transaction, known.subject_id)
    if order is None:
        raise in_flight()
    answer = resume_order(app, order)
    if answer is not None:
        return reply(answer, replayed=True)
    with app.database.reading() as reader:
        whole = storage.read_order(reader, order.id)
    return not_known_yet(whole or order, replayed=True)


def reply(answer: Answer, *, replayed: bool) -> dict[str, Any]:
    """A kept answer as it is given.

    Raises:
        Refusal: the answer is one.
    """
    refuse_as_kept(answer, replayed=replayed)
    return {"order": answer["order"], "status": answer["status"], "replayed": replayed}


def not_known_yet(order: Order, *, replayed: bool) -> dict[str, Any]:
    """The answer while payments has not said what became of it."""
    return {"order": order_view(order), "status": 202, "replayed": replayed}
