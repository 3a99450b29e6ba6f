"""What goes wrong in the time between two steps of a purchase, through every service's own code: nothing is paid twice,
and nothing is there before it is paid.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from model.in_process import STAFF, InProcessStore, buyers

from kernel.errors import Refusal
from payments.offline_provider.book import ChallengeOverError

ACME = buyers()[0]
#: What moves a payment on by itself.
TIMERS = (("payments", "settle_payments"), ("cart", "resume_orders"))


@pytest.fixture
def store(templates: Path, tmp_path: Path) -> Iterator[InProcessStore]:
    opened = InProcessStore(templates, tmp_path)
    yield opened
    opened.close()


def card(token: str) -> dict[str, Any]:
    return {"method": "card", "provider_token": f"tok_test_{token}"}


def order(store: InProcessStore, payment: dict[str, Any], key: str | None = None) -> Any:
    wish = {"payment": payment, "accept_terms": "2026-11", "client_address": "192.0.2.7"}
    return store.call(ACME, "cart", "place_order", idempotency_key=key or uuid.uuid4().hex, **wish)["order"]


def shown(store: InProcessStore, order_id: str) -> Any:
    return store.call(ACME, "cart", "get_order", id=order_id)


def cart(store: InProcessStore) -> list[str]:
    return [line["sku"] for line in store.call(ACME, "cart", "get_cart")["lines"]]


def by_itself(store: InProcessStore, minutes: int) -> None:
    """Time passes, and everything that does not wait for a person happens."""
    for _ in range(minutes):
        store.clock.advance(minutes=1)
        for service, timer in TIMERS:
            store.run(service, timer)
        store.deliver(Random(1))
        store.run("notifications", "send_mails")


def codes_mailed(store: InProcessStore) -> int:
    """How many mails with a claim code there are."""
    bodies = [mail.get_body(("plain",)) for mail in store.mailbox.mails]
    return sum("Claim code:" in body.get_content() for body in bodies if body is not None)


def fill(store: InProcessStore) -> None:
    store.call(ACME, "cart", "add_line", sku="HOURLY-300", quantity=1, credit_destination="support_card")


def test_a_payer_who_closes_the_window_has_paid_nothing_and_orders_again(store: InProcessStore) -> None:
    fill(store)
    left = order(store, card("3ds"))
    challenge = left["next_action"]["url"].rpartition("/")[2]
    assert (left["state"], left["payment"]["state"]) == ("pending_payment", "requires_action")
    with pytest.raises(Refusal, match="order_in_progress"):
        order(store, card("success"))
    by_itself(store, 17)
    assert (shown(store, left["id"])["state"], shown(store, left["id"])["next_action"]) == ("cancelled", None)
    assert cart(store) == ["HOURLY-300"]
    with pytest.raises(ChallengeOverError):  # the window was still open after all
        store.book.confirm(challenge, confirmed=True)
    again = order(store, card("success"))
    by_itself(store, 1)
    assert (store.amounts(left["id"]), store.amounts(again["id"])) == ([], [57000])
    assert (shown(store, again["id"])["state"], codes_mailed(store)) == ("fulfilled", 1)


def test_a_payer_who_comes_back_in_time_pays_once(store: InProcessStore) -> None:
    fill(store)
    left = order(store, card("3ds"))
    by_itself(store, 5)
    assert shown(store, left["id"])["next_action"] == left["next_action"]
    assert codes_mailed(store) == 0
    store.book.confirm(left["next_action"]["url"].rpartition("/")[2], confirmed=True)
    resumed = {"id": left["id"], "payment": {"method": "card"}}
    for _ in range(2):
        reply = store.call(ACME, "cart", "change_payment", idempotency_key=uuid.uuid4().hex, **resumed)
        assert reply["order"]["state"] in ("paid", "fulfilled")
    by_itself(store, 20)
    assert (store.amounts(left["id"]), shown(store, left["id"])["state"]) == ([57000], "fulfilled")
    assert (cart(store), codes_mailed(store)) == ([], 1)


@pytest.mark.parametrize("method", ["wire", "check"])
def test_no_card_is_to_be_seen_before_its_money_is_here(store: InProcessStore, method: str) -> None:
    fill(store)
    waiting = order(store, {"method": method})
    total = waiting["totals"]["total"]["amount_minor"]

    def seen() -> tuple[int, int, int]:
        """Cards in the list, cards of the order, and codes by mail."""
        listed = store.call(ACME, "credits", "list_cards", role="issuer", limit=100)["items"]
        found = store.call(ACME, "credits", "cards_of_orders", order_ids=[waiting["id"]])["items"]
        return len(listed), sum(len(each["cards"]) for each in found), codes_mailed(store)

    def record(amount_minor: int, bank_reference: str) -> Any:
        money = {"amount_minor": amount_minor, "currency": "USD"}
        return store.call(
            STAFF, "payments", "record_receipt", order_id=waiting["id"], method=method, amount=money,
            received_on=store.clock.now().date().isoformat(), bank_reference=bank_reference,
            idempotency_key=uuid.uuid4().hex,
        )  # fmt: skip

    by_itself(store, 2)
    assert seen() == (0, 0, 0)
    record(total - 1, "B-1")
    by_itself(store, 2)
    assert (seen(), shown(store, waiting["id"])["state"]) == ((0, 0, 0), "awaiting_payment")
    record(1, "B-2")
    by_itself(store, 2)
    assert (seen(), shown(store, waiting["id"])["state"]) == ((1, 1, 1), "fulfilled")
