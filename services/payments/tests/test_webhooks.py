"""Webhooks: who may send one, what it does (next to nothing), and how the offline provider sends them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from chassis.testing import FixedClock, emitted, wait_until
from kernel.errors import Kind, Refusal
from payments.bootstrap import App
from payments.offline_provider import PROVIDER_TOKENS, Target, create_app
from payments.offline_provider.webhooks import SIGNATURE_HEADER, signature
from payments.providers.offline_webhooks import OfflineWebhooks
from payments.service import PaymentsService
from payments.storage import ATTEMPT, WEBHOOK_EVENT
from payments.use_cases.get_intent import get_intent
from payments.use_cases.receive_webhook import receive_webhook
from payments.use_cases.settle_payments import settle_payments

Pay = Callable[..., dict[str, Any]]
NEW, OLD = "the new secret", "the old secret"
AFTER_S = (1.0, 3.0)


@pytest.fixture
def believing(app: App) -> App:
    """An app that knows the provider's secrets, and settles as soon as it is told to."""
    app.webhooks = OfflineWebhooks((NEW, OLD))
    app.settle_soon = lambda: settle_payments(app) and None
    return app


def body_about(key: str | None, event_id: str = "evt_1", **more: Any) -> bytes:
    event = {"id": event_id, "type": "charge.succeeded", "data": {"charge": {"idempotency_key": key}} if key else {}}
    return json.dumps({**event, **more}).encode()


def receive(app: App, body: bytes, header: str | None = None, *, secret: str = NEW, age_s: int = 0) -> Any:
    moment = int(app.database.clock.now().timestamp()) - age_s
    header = signature(body, moment, secret) if header is None else header
    return receive_webhook(app, body=base64.b64encode(body).decode(), signature=header)


def refused(app: App, body: bytes, header: str | None = None, **how: Any) -> dict[str, Any]:
    with pytest.raises(Refusal) as caught:
        receive(app, body, header, **how)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    return caught.value.as_dict()


def unsettled_key(app: App, pay: Pay, rows: Any, token: str = "timeout") -> str:
    """The key of an attempt that the provider has charged and not answered for."""
    assert pay(app, PROVIDER_TOKENS[token])["state"] == "processing"
    key: str = rows(app.database, ATTEMPT)[-1]["provider_key"]
    return key


def test_a_webhook_has_the_provider_asked_at_once(believing: App, pay: Pay, rows: Any, fake_provider: Any) -> None:
    key = unsettled_key(believing, pay, rows)
    assert settle_payments(believing) == 0, "it is not due by itself"

    assert receive(believing, body_about(key)) == {}

    assert get_intent(believing, None, order_id="ord_1")["state"] == "captured"
    assert fake_provider.asked[-1] == ("find", key)
    assert [name for name, _ in emitted(believing.database)] == ["payments.captured.v1"]


def test_what_a_webhook_says_is_not_believed(believing: App, pay: Pay, rows: Any) -> None:
    key = unsettled_key(believing, pay, rows)
    lies = {"charge": {"idempotency_key": key, "status": "failed", "amount_minor": 1, "currency": "EUR"}}

    receive(believing, body_about(key, type="charge.failed", data=lies))

    [(name, data)] = emitted(believing.database)
    assert (name, data["amount"]) == ("payments.captured.v1", {"amount_minor": 12000, "currency": "USD"})


def test_twice_and_out_of_order_is_once(believing: App, pay: Pay, rows: Any, fake_provider: Any) -> None:
    key = unsettled_key(believing, pay, rows)
    receive(believing, body_about(key, "evt_2"))
    asked = list(fake_provider.asked)
    for event_id in ("evt_2", "evt_1", "evt_2", "evt_0"):
        receive(believing, body_about(key, event_id, type="charge.failed"))

    assert fake_provider.asked == asked
    assert len(emitted(believing.database)) == 1
    assert sorted(row["id"] for row in rows(believing.database, WEBHOOK_EVENT)) == ["evt_0", "evt_1", "evt_2"]


def test_the_same_event_at_once_is_noted_once(
    migrated: Any, app_on: Any, fake_provider: Any, pay: Pay, clock: FixedClock, rows: Any
) -> None:
    app = app_on(migrated("payments", clock), fake_provider)
    app.webhooks = OfflineWebhooks((NEW,))
    woken: list[int] = []
    app.settle_soon = lambda: woken.append(1)
    key = unsettled_key(app, pay, rows)
    threads = [threading.Thread(target=receive, args=(app, body_about(key))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(woken) == 1
    assert len(rows(app.database, WEBHOOK_EVENT)) == 1
    assert settle_payments(app) == 1


def test_a_crash_after_the_webhook_was_taken_loses_nothing(believing: App, pay: Pay, rows: Any) -> None:
    key = unsettled_key(believing, pay, rows)
    believing.settle_soon = lambda: None
    receive(believing, body_about(key))

    assert settle_payments(believing) == 1


def test_both_secrets_are_good_and_either_signature_is_enough(believing: App) -> None:
    now = int(believing.database.clock.now().timestamp())
    receive(believing, body_about("k", "evt_1"), secret=NEW)
    receive(believing, body_about("k", "evt_2"), secret=OLD)
    body = body_about("k", "evt_3")
    receive(believing, body, signature(body, now, "a secret of next year", NEW))


@pytest.mark.parametrize("age_s", [300, -300])
def test_within_five_minutes_either_way_it_is_taken(believing: App, age_s: int) -> None:
    assert receive(believing, body_about("k"), age_s=age_s) == {}


@pytest.mark.parametrize("age_s", [301, -301, 10**6, -(10**6)])
def test_stale_and_from_the_future_are_refused(believing: App, rows: Any, age_s: int) -> None:
    refused(believing, body_about("k"), age_s=age_s)
    assert rows(believing.database, WEBHOOK_EVENT) == []


def test_everything_forged_gets_the_same_answer_and_leaves_nothing(believing: App, pay: Pay, rows: Any) -> None:
    key = unsettled_key(believing, pay, rows)
    before = rows(believing.database, ATTEMPT)
    body = body_about(key)
    now = int(believing.database.clock.now().timestamp())
    good = signature(body, now, NEW)
    mac = good.partition("v1=")[2]
    forged = [
        (body, ""), (body, "t=,v1="), (body, "garbage"), (body, f"v1={mac}"), (body, f"t={now}"),
        (body, f"t={now},v1="), (body, f"t={now + 1},v1={mac}"), (body, f"t={now},t={now},v1={mac}"),
        (body, f"t={now},v0={mac}"), (body, f"t={now},v1={mac[:-1]}"), (body, f"t={now},v1={mac.upper()}"),
        (body, f"t=-{now},v1={mac}"), (body, f"t=\u0661,v1={mac}"), (body, f"t={now},v1=\u0661"),
        (body, good + ",v1=0" * 9), (body + b" ", good), (body_about(key, "evt_9"), good), (b"", good),
        (body, signature(body, now, "another secret")), (body, signature(body, now, "")),
    ]  # fmt: skip
    answers = [refused(believing, *each) for each in forged]
    signed = [b"", b"[]", b"{", b"null", b"[" * 50_000, b"\xff", body_about(key, ""), body_about(key, "e" * 256),
              body_about(key, data=[]), body_about(key, id=7)]  # fmt: skip
    answers += [refused(believing, each) for each in signed]

    assert answers == [answers[0]] * len(answers)
    assert answers[0]["code"] == "webhook_refused"
    assert (answers[0]["errors"], answers[0]["extra"]) == ([], {})
    assert rows(believing.database, WEBHOOK_EVENT) == []
    assert rows(believing.database, ATTEMPT) == before
    assert receive(believing, body, good) == {}


def test_a_body_that_is_not_base_64_is_refused(believing: App) -> None:
    with pytest.raises(Refusal, match="webhook_refused"):
        receive_webhook(believing, body="\u20ac", signature="t=1,v1=0")


def test_no_secret_believes_nothing(app: App) -> None:
    refused(app, body_about("k"), secret="")


def test_news_of_nothing_we_know_is_noted_and_changes_nothing(believing: App, fake_provider: Any, rows: Any) -> None:
    receive(believing, body_about("a key of somebody else"))
    receive(believing, body_about(None, "evt_2"))
    assert fake_provider.asked == []
    assert len(rows(believing.database, WEBHOOK_EVENT)) == 2


# --- the offline provider's side ---


class Shop:
    """Takes webhooks, or refuses them."""

    def __init__(self) -> None:
        self.status = 204
        self.taken: list[tuple[bytes, str]] = []
        self.asked = 0
        self.url = ""

    def answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        self.asked += 1
        if self.status < 300:
            self.taken.append((request.get_data(), request.headers[SIGNATURE_HEADER]))
        return Response("", self.status)(environ, start_response)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _ in self.taken]


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    server = make_server("127.0.0.1", 0, made.answer, threaded=True)
    made.url = f"http://127.0.0.1:{server.port}/hook"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def provider(tmp_path: Path, shop: Shop, clock: FixedClock) -> Iterator[Any]:
    app = create_app(tmp_path / "book.db", "key", clock=clock, webhooks=Target(shop.url, NEW, AFTER_S))
    yield app
    app.extensions["book"].close()


CHARGE = {"token": "tok_test_success", "amount_minor": 12000, "currency": "USD", "reference": "ord_1"}


def test_each_charge_is_told_late_and_twice_under_one_id(provider: Any, shop: Shop, clock: FixedClock) -> None:
    book, courier = provider.extensions["book"], provider.extensions["courier"]
    charge, _ = book.charge("key-1", CHARGE)
    assert courier.deliver_due() == 0
    clock.advance(seconds=1)
    assert courier.deliver_due() == 1
    clock.advance(seconds=2)
    assert courier.deliver_due() == 1
    clock.advance(days=9)
    assert courier.deliver_due() == 0

    first, second = shop.events()
    assert first == second
    assert (first["type"], first["data"]) == ("charge.succeeded", {"charge": charge})
    for body, header in shop.taken:
        moment = clock.now() - timedelta(days=9)
        assert OfflineWebhooks((NEW,)).read(body, header, moment).key == "key-1"


def test_declines_and_voids_are_told_too(provider: Any, shop: Shop, clock: FixedClock) -> None:
    book, courier = provider.extensions["book"], provider.extensions["courier"]
    book.charge("key-1", {**CHARGE, "token": "tok_test_declined"})
    book.charge("key-1", {**CHARGE, "token": "tok_test_declined"})
    book.void("key-2")
    book.void("key-2")
    clock.advance(seconds=1)
    assert courier.deliver_due() == 2
    told = {event["type"]: event["data"]["charge"]["idempotency_key"] for event in shop.events()}
    assert told == {"charge.failed": "key-1", "charge.voided": "key-2"}


@pytest.mark.parametrize("status", [500, 401, 302])
def test_what_nobody_takes_is_sent_again_even_after_a_restart(
    provider: Any, shop: Shop, clock: FixedClock, tmp_path: Path, status: int
) -> None:
    book, courier = provider.extensions["book"], provider.extensions["courier"]
    shop.status = status
    book.charge("key-1", CHARGE)
    clock.advance(seconds=3)
    assert courier.deliver_due() == 2
    assert courier.deliver_due() == 0, "not before a pause"
    clock.advance(seconds=1)
    assert courier.deliver_due() == 2
    clock.advance(seconds=1)
    assert courier.deliver_due() == 0, "the pause grows"
    again = create_app(tmp_path / "book.db", "key", clock=clock, webhooks=Target(shop.url, NEW, AFTER_S))
    shop.status = 204
    clock.advance(seconds=1)
    assert again.extensions["courier"].deliver_due() == 2
    again.extensions["book"].close()
    assert len(shop.taken) == 2
    assert shop.asked == 6


def test_nobody_there_is_sent_again(tmp_path: Path, clock: FixedClock) -> None:
    app = create_app(tmp_path / "book.db", "key", clock=clock, webhooks=Target("http://127.0.0.1:1/", NEW, AFTER_S))
    app.extensions["book"].charge("key-1", CHARGE)
    clock.advance(minutes=1)
    for _ in range(10):
        assert app.extensions["courier"].deliver_due() == 2
        clock.advance(minutes=1)
    app.extensions["book"].close()


def test_without_a_target_nothing_is_kept_to_tell(tmp_path: Path, clock: FixedClock) -> None:
    app = create_app(tmp_path / "book.db", "key", clock=clock)
    app.extensions["book"].charge("key-1", CHARGE)
    clock.advance(days=1)
    assert app.extensions["book"].due_news(10) == []
    app.extensions["book"].close()


def test_the_courier_works_by_itself_and_stops(tmp_path: Path, shop: Shop) -> None:
    app = create_app(tmp_path / "book.db", "key", webhooks=Target(shop.url, NEW, (0.0, 0.0)))
    courier = app.extensions["courier"]
    courier.start()
    app.extensions["book"].charge("key-1", CHARGE)
    wait_until(lambda: len(shop.taken) == 2, "two copies")
    courier.stop()
    app.extensions["book"].close()


def test_ids_of_webhooks_are_kept_for_30_days(believing: App, clock: FixedClock, rows: Any) -> None:
    service = PaymentsService()
    service.app = believing
    receive(believing, body_about("k"))
    clock.advance(days=30)
    service.clean_up()
    assert len(rows(believing.database, WEBHOOK_EVENT)) == 1
    clock.advance(seconds=1)
    service.clean_up()
    assert rows(believing.database, WEBHOOK_EVENT) == []
