"""Save a card, once the provider keeps it: the wish is committed first, then the provider is asked, then its answer.

Whatever dies in between is taken up by who asks again under the key, or by the sweep; the provider keeps one card for
each key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis import failpoints
from chassis.persistence import IdempotencyKeys, IntegrityError, in_flight, refuse_as_kept, request_hash
from chassis.persistence.throttle import network_of, subject
from kernel.errors import Kind, Refusal, invalid, unavailable
from kernel.ids import new_id
from payments import payment_method_storage
from payments.domain.declines import decline, decline_code
from payments.domain.payment_methods import MethodState, check_room
from payments.domain.provider import Declined, KeepOutcome, KeptCard
from payments.use_cases.payment_methods import BUYERS, method_view

if TYPE_CHECKING:
    from chassis.identity import Identity
    from chassis.persistence import Row
    from payments.bootstrap import App

#: Cards settled by one run of the sweep.
_BATCH = 50


def save_payment_method(
    app: App, caller: Identity, *, idempotency_key: str, provider_token: str, save: bool, client_address: str
) -> dict[str, Any]:
    """Have the provider keep a card, and remember what it is called.

    Args:
        app: the service's.
        caller: a buyer.
        idempotency_key: the same for every retry of this request.
        provider_token: the card, as the provider named it to the browser.
        save: the box that the buyer has ticked.
        client_address: where the request came from: cards are tried out this way.

    Returns:
        ``{"payment_method", "replayed"}``.

    Raises:
        Refusal: `forbidden`; `save_not_wanted`; `too_many_attempts`; `too_many_payment_methods`; `card_declined`;
            `unavailable` while the provider does not answer; `idempotency_key_reused`, `idempotency_key_in_flight`.
    """
    caller.require(*BUYERS)
    if not save:
        raise invalid("save_not_wanted", "A card is saved only if you want it to be.", "save")
    subjects = [
        subject("organization", caller.organization_id), subject("user", caller.user_id),
        subject("address", network_of(client_address)),
    ]  # fmt: skip
    wanted = request_hash("save_payment_method", {"user_id": caller.user_id, "provider_token": provider_token})
    method_id = new_id("pm")
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        known = keys.begin(idempotency_key, wanted, method_id)
        if known is None:
            app.declines.check(tx, subjects)
            check_room(payment_method_storage.count(tx, caller.organization_id))
            payment_method_storage.add(
                tx,
                {
                    "id": method_id, "organization_id": caller.organization_id, "provider_token": provider_token,
                    "idempotency_key": idempotency_key, "created_by": caller.user_id,
                    "next_check_at": tx.now + app.lease,
                },
            )  # fmt: skip
    if known is not None and known.answer is not None:
        return _reply(known.answer, replayed=True)
    if known is not None:
        method_id, provider_token = _take_over(app, known.subject_id or "")
    answer = _record(app, method_id, app.provider.keep_card(method_id, provider_token), caller)
    if answer is None:
        raise unavailable("The payment provider does not answer. Try again in a moment.")
    if "refusal" in answer:
        with app.database.transaction() as tx:
            app.declines.fail(tx, subjects)
    return _reply(answer, replayed=known is not None)


def settle_payment_methods(app: App) -> None:
    """Find out about cards whose keeping is not known, and have the provider forget those that were removed."""
    for _ in range(_BATCH):
        with app.database.transaction() as tx:
            due = payment_method_storage.claim_due(tx, app.lease)
        if (
            due is None
            or _record(app, due["id"], app.provider.keep_card(due["id"], due["provider_token"]), None) is None
        ):
            break
    with app.database.reading() as reader:
        removed = payment_method_storage.to_forget(reader, _BATCH)
    for method in removed:
        if app.provider.forget_card(method["provider_card_id"]):
            with app.database.transaction() as tx:
                payment_method_storage.change(tx, method["id"], forgotten_at=tx.now)


def _take_over(app: App, method_id: str) -> tuple[str, str]:
    with app.database.transaction() as tx:
        due = payment_method_storage.claim_due(tx, app.lease, method_id)
    if due is None:
        raise in_flight()
    return method_id, due["provider_token"]


def _record(app: App, method_id: str, outcome: KeepOutcome, caller: Identity | None) -> dict[str, Any] | None:
    """Write down what the provider said; the answer that is kept under the key, None if it has said nothing."""
    failpoints.reach("payments.card_kept")
    if not isinstance(outcome, KeptCard | Declined):
        return None
    try:
        return _settle(app, method_id, outcome, caller)
    except IntegrityError:  # two first cards at once, each to be the default: one of them is now
        return _settle(app, method_id, outcome, caller)


def _settle(app: App, method_id: str, outcome: KeptCard | Declined, caller: Identity | None) -> dict[str, Any]:
    with app.database.transaction() as tx:
        found = payment_method_storage.lock(tx, method_id)
        assert found is not None, "it was written before the provider was asked"
        if found["state"] == MethodState.SAVING:
            answer = _refused(outcome) if isinstance(outcome, Declined) else None
            settled: dict[str, Any] = {"provider_token": None, "next_check_at": None, "state": MethodState.REFUSED}
            if isinstance(outcome, KeptCard):
                others = payment_method_storage.lock_all(tx, found["organization_id"])
                settled |= {
                    "state": MethodState.SAVED, "provider_card_id": outcome.card_id, "brand": outcome.card.brand,
                    "last4": outcome.card.last4, "exp_month": outcome.exp_month, "exp_year": outcome.exp_year,
                    "is_default": not any(other["is_default"] for other in others.values()),
                }  # fmt: skip
                answer = {"payment_method": method_view({**found, **settled}, tx.now)}
                tx.audit(
                    caller, "payment_method.saved", method_id, found["organization_id"], brand=outcome.card.brand,
                    last4=outcome.card.last4,
                )  # fmt: skip
            payment_method_storage.change(tx, method_id, **settled)
            assert answer is not None, "one of the two"
            IdempotencyKeys(tx, found["organization_id"]).finish(found["idempotency_key"], answer)
            return answer
        return _known(found, outcome, tx.now)


def _known(found: Row, outcome: KeptCard | Declined, now: Any) -> dict[str, Any]:
    """Somebody else was faster with the same answer."""
    return _refused(outcome) if isinstance(outcome, Declined) else {"payment_method": method_view(found, now)}


def _refused(declined: Declined) -> dict[str, Any]:
    why = decline(decline_code(declined.code))
    refusal = Refusal(Kind.PAYMENT_REFUSED, "card_declined", why["message"], extra={"reason": why["code"]})
    return {"refusal": refusal.as_dict()}


def _reply(answer: dict[str, Any], *, replayed: bool) -> dict[str, Any]:
    refuse_as_kept(answer, replayed=replayed)
    return {"payment_method": answer["payment_method"], "replayed": replayed}
