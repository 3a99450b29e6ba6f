"""Cancelling an unpaid order, and the payment provider's webhooks, in both modes."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import uuid

import pytest
import requests
from store import Store

from chassis.testing import wait_until

pytestmark = pytest.mark.journey


def test_an_order_that_turns_out_to_be_charged_cannot_be_cancelled_and_goes_on(store: Store) -> None:
    alan = store.client("alan@acme.example")
    alan.empty_cart()
    waiting = alan.place(alan.order_body(alan.fill_cart(), "timeout"))
    assert waiting.status_code == 202
    url, key = f"/v1/orders/{waiting.json()['id']}/cancel", str(uuid.uuid4())

    late = alan.ask("POST", url, key=key)

    assert (late.status_code, late.json()["code"]) == (409, "order_already_paid")
    again = alan.ask("POST", url, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (409, "true")
    assert again.json()["detail"] == late.json()["detail"]
    order = alan.fulfilled(waiting.json()["id"])
    assert len(store.charges(order["id"])) == 1


def test_cancelling_asks_for_a_key_a_role_and_an_order_of_ones_own(store: Store) -> None:
    ada, grace = store.client(), store.client("grace@globex.example")
    ada.empty_cart()
    url = f"/v1/orders/{ada.buy_card()['id']}/cancel"
    assert (ada.ask("POST", url).status_code, ada.ask("POST", url).json()["code"]) == (400, "idempotency_key_required")
    assert ada.ask("POST", url, {"state": "cancelled"}, key="k").status_code == 422
    bodies = {
        grace.ask("POST", path, key=str(uuid.uuid4()), headers={"X-Correlation-Id": "cor_the_same"}).content
        for path in (url, "/v1/orders/ord_nobody/cancel")
    }
    assert len(bodies) == 1
    assert b'"not_found"' in bodies.pop()


def test_a_declined_order_is_cancelled_already(store: Store) -> None:
    ada = store.client()
    ada.empty_cart()
    order_id = ada.place(ada.order_body(ada.fill_cart(), "declined")).json()["order_id"]
    answer = ada.ask("POST", f"/v1/orders/{order_id}/cancel", key=str(uuid.uuid4()))
    assert (answer.status_code, answer.json()["state"], answer.json()["payment"]["state"]) == (
        200, "cancelled", "failed",
    )  # fmt: skip


def test_the_store_takes_what_the_provider_sends_and_nothing_else(store: Store) -> None:
    ada = store.client()
    ada.empty_cart()
    ada.buy_card()
    with contextlib.closing(sqlite3.connect(store.folder / "provider.db")) as book:
        wait_until(
            lambda: book.execute("SELECT count(*) FROM news WHERE ended_at IS NOT NULL").fetchone()[0] > 0,
            "a webhook to be taken", 60,
        )  # fmt: skip
    for header in ("", "t=1,v1=00", f"t={int(time.time())},v1={'0' * 64}"):
        forged = requests.post(
            f"{store.base_url}/v1/webhooks/payments", json={"id": "evt_1"}, headers={"Provider-Signature": header},
            timeout=30,
        )  # fmt: skip
        assert (forged.status_code, forged.json()["code"]) == (401, "webhook_refused")
