"""Saved cards: kept by the provider first, seen by their organisation only, chosen while they are good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from chassis.messages import dump_checked, load_request
from chassis.persistence.tables import AUDIT_ENTRY
from chassis.testing import FixedClock, identity, sqlite_database
from kernel.errors import Kind, Refusal
from payments import messages
from payments.bootstrap import App
from payments.domain.provider import Unknown
from payments.offline_provider import PROVIDER_TOKENS
from payments.payment_method_storage import PAYMENT_METHOD
from payments.storage import ATTEMPT
from payments.use_cases.check_payment import check_payment
from payments.use_cases.manage_payment_methods import (
    list_payment_methods,
    remove_payment_method,
    set_default_payment_method,
)
from payments.use_cases.save_payment_method import save_payment_method, settle_payment_methods

Pay = Callable[..., dict[str, Any]]
ADA, GRACE = identity(), identity(user_id="usr_grace", organization_id="org_bolt")


@pytest.fixture
def app(tmp_path: Path, clock: FixedClock, running_provider: Any, app_on: Callable[..., App]) -> Iterator[App]:
    """On a real provider over HTTP: what it keeps is the point."""
    running_provider.book.clock = clock
    database = sqlite_database(tmp_path, "payments", clock)
    yield app_on(database, running_provider.client())
    database.close()


def token(provider: Any, number: str = "4242424242424242", **changes: Any) -> str:
    card = {"number": number, "exp_month": 12, "exp_year": 2027, "cvc": "123", "name": "Ada Buyer", **changes}
    made: str = requests.post(f"{provider.url}/tokens", json=card, timeout=60).json()["token"]
    return made


def save(app: App, provider_token: str, key: str = "key-1", caller: Any = ADA, **changes: Any) -> dict[str, Any]:
    request = {
        "idempotency_key": key, "provider_token": provider_token, "save": True, "client_address": "192.0.2.7",
        **changes,
    }  # fmt: skip
    reply = save_payment_method(app, caller, **load_request(messages.SavePaymentMethod(), request))
    return dump_checked(messages.SavedReply(), reply)


def code_of(call: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    with pytest.raises(Refusal) as refused:
        call(*arguments, **more)
    return refused.value.code


def shown(app: App, caller: Any = ADA) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = list_payment_methods(app, caller)["items"]
    return items


def test_a_card_that_the_provider_keeps_is_saved_once(app: App, running_provider: Any, rows: Any) -> None:
    one_time = token(running_provider)
    first = save(app, one_time)
    card = first["payment_method"]
    assert card == {
        "id": card["id"], "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2027, "expired": False,
        "default": True, "created_at": "2026-11-22T12:00:00.000Z",
    }  # fmt: skip
    assert save(app, one_time) == {**first, "replayed": True}
    assert code_of(save, app, "tok_other") == "idempotency_key_reused"
    assert code_of(save, app, one_time, "key-2") == "card_declined", "a one-time token has served"
    assert shown(app) == [card]
    [stored] = [row for row in rows(app.database, PAYMENT_METHOD) if row["state"] == "saved"]
    assert one_time not in str(stored)
    with app.database.reading() as reader:
        assert reader.all(select(AUDIT_ENTRY.c.action)) == [{"action": "payment_method.saved"}]


def test_what_the_provider_does_not_take_is_not_saved(app: App, running_provider: Any) -> None:
    bad = token(running_provider, "4000000000000002")
    assert code_of(save, app, bad) == "card_declined"
    assert code_of(save, app, bad) == "card_declined"
    assert code_of(save, app, PROVIDER_TOKENS["success"], "key-2", save=False) == "save_not_wanted"
    assert code_of(save, app, PROVIDER_TOKENS["success"], "key-3", caller=identity("viewer")) == "forbidden"
    assert shown(app) == []


def test_a_silent_provider_is_asked_again_with_the_same_key(
    app: App, running_provider: Any, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_time = token(running_provider)
    with monkeypatch.context() as patch:
        keep = app.provider.keep_card
        patch.setattr(app.provider, "keep_card", lambda *asked: (keep(*asked), Unknown("timeout"))[1])
        assert code_of(save, app, one_time) == "unavailable"
    assert shown(app) == []
    assert code_of(save, app, one_time) == "idempotency_key_in_flight"
    clock.advance(seconds=11)
    settle_payment_methods(app)
    [card] = shown(app)
    assert save(app, one_time) == {"payment_method": card, "replayed": True}


def test_the_default_is_one_card(app: App, running_provider: Any) -> None:
    cards = [save(app, token(running_provider), f"key-{n}")["payment_method"] for n in range(3)]
    assert [card["default"] for card in cards] == [True, False, False]
    assert set_default_payment_method(app, ADA, id=cards[1]["id"])["default"] is True
    assert [card["id"] for card in shown(app)] == [cards[number]["id"] for number in (1, 2, 0)]
    assert [card["default"] for card in shown(app)] == [True, False, False]
    remove_payment_method(app, ADA, id=cards[1]["id"])
    assert [card["default"] for card in shown(app)] == [False, False]
    assert code_of(remove_payment_method, app, ADA, id=cards[1]["id"]) == "not_found"


def test_an_expired_card_is_shown_and_cannot_be_chosen(
    app: App, running_provider: Any, clock: FixedClock, pay: Pay
) -> None:
    card = save(app, token(running_provider, exp_month=11, exp_year=2026))["payment_method"]
    ask = {"organization_id": "org_acme", "method": "card", "payment_method_id": card["id"]}
    assert check_payment(app, ADA, **ask) == {}
    clock.advance(days=9)
    assert [each["expired"] for each in shown(app)] == [True]
    with pytest.raises(Refusal) as refused:
        check_payment(app, ADA, **ask)
    assert (refused.value.code, refused.value.kind) == ("card_expired", Kind.INVALID)
    assert code_of(pay, app, None, payment_method_id=card["id"]) == "card_expired"
    assert code_of(set_default_payment_method, app, ADA, id=card["id"]) == "card_expired"


def test_another_organisations_card_is_not_found(app: App, running_provider: Any, pay: Pay) -> None:
    card = save(app, token(running_provider))["payment_method"]
    assert shown(app, GRACE) == []
    for asked_for in (card["id"], "pm_none"):
        for call in (set_default_payment_method, remove_payment_method):
            assert code_of(call, app, GRACE, id=asked_for) == "not_found"
        ask = {"organization_id": "org_bolt", "method": "card", "payment_method_id": asked_for}
        assert code_of(check_payment, app, GRACE, **ask) == "not_found"
    payer = {"organization_id": "org_bolt", "user_id": "usr_grace", "email": "g@b.example"}
    assert code_of(pay, app, None, payment_method_id=card["id"], caller=GRACE, payer=payer) == "payment_method_unknown"


def test_a_saved_card_pays_again_and_again(app: App, running_provider: Any, pay: Pay, rows: Any) -> None:
    card = save(app, token(running_provider))["payment_method"]
    for number in range(2):
        order_id = f"ord_{number}"
        paid = pay(app, None, payment_method_id=card["id"], order_id=order_id)
        assert (paid["state"], paid["card"]) == ("captured", {"brand": "visa", "last4": "4242"})
        assert len(running_provider.succeeded(order_id)) == 1
    remove_payment_method(app, ADA, id=card["id"])
    assert pay(app, None, payment_method_id=card["id"], order_id="ord_1")["state"] == "captured", "it was paid before"
    assert code_of(pay, app, None, payment_method_id=card["id"], order_id="ord_2") == "payment_method_unknown"


def test_a_removed_card_is_forgotten_once_no_payment_needs_it(
    app: App, running_provider: Any, pay: Pay, clock: FixedClock, rows: Any
) -> None:
    card = save(app, token(running_provider, "4000000000003220"))["payment_method"]
    waits = pay(app, None, payment_method_id=card["id"])
    remove_payment_method(app, ADA, id=card["id"])
    settle_payment_methods(app)
    [stored] = rows(app.database, PAYMENT_METHOD)
    assert stored["forgotten_at"] is None
    requests.post(waits["next_action"]["url"], json={"outcome": "confirm"}, timeout=60)
    assert pay(app, None, payment_method_id=card["id"])["state"] == "captured"
    settle_payment_methods(app)
    [stored] = rows(app.database, PAYMENT_METHOD)
    assert stored["forgotten_at"] is not None
    [attempt] = rows(app.database, ATTEMPT)
    assert attempt["provider_token"] is None


def test_cards_are_not_tried_out_by_saving_them(app: App, running_provider: Any, clock: FixedClock) -> None:
    for number in range(10):
        assert code_of(save, app, PROVIDER_TOKENS["declined"], f"bad-{number}") == "card_declined"
    with pytest.raises(Refusal) as refused:
        save(app, PROVIDER_TOKENS["success"], "good")
    assert (refused.value.kind, refused.value.extra["retry_after_s"]) == (Kind.TOO_MANY, 600)
    assert save(app, PROVIDER_TOKENS["success"], caller=GRACE, client_address="192.0.2.8")["payment_method"]["default"]
    clock.advance(minutes=10)
    assert save(app, PROVIDER_TOKENS["success"], "good")["replayed"] is False


def test_there_is_an_end_to_saving(app: App, running_provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.domain.payment_methods.MOST_CARDS", 1)
    save(app, PROVIDER_TOKENS["success"])
    assert code_of(save, app, PROVIDER_TOKENS["success"], "key-2") == "too_many_payment_methods"


def test_many_first_cards_at_once_have_one_default(migrated: Any, running_provider: Any, app_on: Any) -> None:
    app = app_on(migrated("payments"), running_provider.client())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: save(app, PROVIDER_TOKENS["success"], f"key-{number}"), range(4)))
    assert sorted(card["default"] for card in shown(app)) == [False, False, False, True]


def test_the_card_that_pays_is_saved_with_it_once(app: App, running_provider: Any, pay: Pay, rows: Any) -> None:
    """Its one-time token has served by then: the charge stands for the card."""
    app.save_cards_soon = lambda: settle_payment_methods(app)
    used = token(running_provider, "5555555555554444")
    for _ in range(2):
        assert pay(app, used, save=True)["state"] == "captured"
    settle_payment_methods(app)
    (card,) = shown(app)
    assert (card["last4"], card["exp_year"], card["default"]) == ("4444", 2027, True)
    [stored] = rows(app.database, PAYMENT_METHOD)
    assert (stored["created_by"], stored["provider_token"]) == ("usr_ada", None)
    assert pay(app, None, payment_method_id=card["id"], order_id="ord_2")["state"] == "captured"
    assert pay(app, token(running_provider), order_id="ord_3")["state"] == "captured"
    assert shown(app) == [card], "without the wish none is saved"


def test_a_card_that_is_not_charged_is_not_saved(app: App, running_provider: Any, pay: Pay, rows: Any) -> None:
    """Declined; given up; and one whose payer has not confirmed it, until they do."""
    assert pay(app, token(running_provider, "4000000000000002"), save=True)["state"] == "failed"
    waits = pay(app, token(running_provider, "4000000000003220"), save=True, order_id="ord_2")
    settle_payment_methods(app)
    assert rows(app.database, PAYMENT_METHOD) == []
    requests.post(waits["next_action"]["url"], json={"outcome": "confirm"}, timeout=60)
    assert pay(app, order_id="ord_2")["state"] == "captured"
    settle_payment_methods(app)
    assert [card["last4"] for card in shown(app)] == ["3220"]


def test_paying_with_a_card_that_is_one_too_many_pays_and_does_not_save_it(
    app: App, running_provider: Any, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.use_cases.keep_charged_card.MOST_CARDS", 1)
    save(app, PROVIDER_TOKENS["success"])
    assert pay(app, token(running_provider, "5555555555554444"), save=True)["state"] == "captured"
    settle_payment_methods(app)
    assert [card["last4"] for card in shown(app)] == ["4242"]
