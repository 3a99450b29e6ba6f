"""What every payment provider must do, whoever it is; and how the offline one's client takes nonsense."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from kernel.money import Money
from payments.domain.provider import (
    Captured,
    Card,
    Declined,
    NotSeen,
    Provider,
    Refunded,
    RefundRefused,
    Unknown,
    Voided,
)
from payments.offline_provider import PROVIDER_TOKENS
from payments.offline_provider.cards import Behaviour
from payments.providers.offline import OfflineProvider

PRICE = Money(12000, "USD")


def _in_ten_minutes() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)


@dataclass
class UnderTest:
    """A provider: `impatient` does not wait for a card that times out; `captures` counts money really taken."""

    provider: Provider
    impatient: Provider
    new_token: Callable[[], str]
    captures: Callable[[], int]


class ProviderSuite:
    """Subclass it with a fixture `it` that gives an `UnderTest`."""

    @pytest.mark.parametrize("token", ["success", "slow"])
    def test_a_good_card_is_captured_with_the_amount_and_the_card(self, it: UnderTest, token: str) -> None:
        outcome = it.provider.charge("key-1", PROVIDER_TOKENS[token], PRICE, "ord_1")

        assert isinstance(outcome, Captured)
        assert outcome.amount == PRICE
        assert outcome.card == Card("visa", "4242")
        assert outcome.captured_at.tzinfo is not None
        assert it.provider.find("key-1") == outcome
        assert it.captures() == 1

    def test_the_same_key_gets_the_same_answer_and_one_charge(self, it: UnderTest) -> None:
        first = it.provider.charge("key-1", PROVIDER_TOKENS["success"], PRICE, "ord_1")

        assert it.provider.charge("key-1", PROVIDER_TOKENS["success"], PRICE, "ord_1") == first
        assert it.captures() == 1

    def test_two_keys_are_two_charges(self, it: UnderTest) -> None:
        first = it.provider.charge("key-1", PROVIDER_TOKENS["success"], PRICE, "ord_1")
        second = it.provider.charge("key-2", PROVIDER_TOKENS["success"], PRICE, "ord_1")

        assert isinstance(first, Captured)
        assert isinstance(second, Captured)
        assert first.charge_id != second.charge_id
        assert it.captures() == 2

    @pytest.mark.parametrize(
        ("token", "code"), [("declined", "card_declined"), ("insufficient_funds", "insufficient_funds")]
    )
    def test_a_bad_card_is_declined_for_good(self, it: UnderTest, token: str, code: str) -> None:
        for _ in range(2):
            assert it.provider.charge("key-1", PROVIDER_TOKENS[token], PRICE, "ord_1") == Declined(code)
        assert it.provider.find("key-1") == Declined(code)
        assert it.captures() == 0

    def test_a_token_that_nobody_made_is_declined(self, it: UnderTest) -> None:
        assert it.provider.charge("key-1", "tok_nobody", PRICE, "ord_1") == Declined("token_unknown")

    def test_a_one_time_token_is_good_for_one_charge(self, it: UnderTest) -> None:
        token = it.new_token()
        first = it.provider.charge("key-1", token, PRICE, "ord_1")

        assert isinstance(first, Captured)
        assert it.provider.charge("key-2", token, PRICE, "ord_2") == Declined("token_already_used")
        assert it.provider.charge("key-1", token, PRICE, "ord_1") == first
        assert it.captures() == 1

    def test_a_timeout_after_charging_is_unknown_until_asked_about(self, it: UnderTest) -> None:
        assert isinstance(it.impatient.charge("key-1", PROVIDER_TOKENS["timeout"], PRICE, "ord_1"), Unknown)

        found = it.provider.find("key-1")
        assert isinstance(found, Captured)
        assert it.provider.charge("key-1", PROVIDER_TOKENS["timeout"], PRICE, "ord_1") == found
        assert it.captures() == 1

    def test_a_key_that_never_came_is_not_seen(self, it: UnderTest) -> None:
        assert it.provider.find("key-1") == NotSeen()
        assert it.provider.find_refund("key-1") == NotSeen()

    def test_a_charge_is_given_back_once_for_each_key(self, it: UnderTest) -> None:
        charge = it.provider.charge("key-1", PROVIDER_TOKENS["success"], PRICE, "ord_1")
        assert isinstance(charge, Captured)
        first = it.provider.refund("refund-1", charge.charge_id, Money(7000, "USD"))

        assert isinstance(first, Refunded)
        assert first.amount == Money(7000, "USD")
        assert it.provider.refund("refund-1", charge.charge_id, Money(7000, "USD")) == first
        assert it.provider.find_refund("refund-1") == first
        assert isinstance(it.provider.refund("refund-2", charge.charge_id, Money(5000, "USD")), Refunded)

    def test_no_more_is_given_back_than_was_taken(self, it: UnderTest) -> None:
        charge = it.provider.charge("key-1", PROVIDER_TOKENS["success"], PRICE, "ord_1")
        assert isinstance(charge, Captured)

        assert it.provider.refund("refund-1", charge.charge_id, Money(12001, "USD")) == RefundRefused(
            "refund_exceeds_charge"
        )
        assert isinstance(it.provider.refund("refund-2", charge.charge_id, Money(12000, "USD")), Refunded)
        for _ in range(2):
            assert it.provider.refund("refund-3", charge.charge_id, Money(1, "USD")) == RefundRefused(
                "refund_exceeds_charge"
            )
        assert it.provider.find_refund("refund-3") == RefundRefused("refund_exceeds_charge")

    def test_what_was_never_charged_is_not_given_back(self, it: UnderTest) -> None:
        assert it.provider.refund("refund-1", "ch_none", PRICE) == RefundRefused("charge_unknown")

    def test_a_key_given_up_is_never_charged(self, it: UnderTest) -> None:
        for _ in range(2):
            assert it.provider.void("key-1") == Voided()
        assert it.provider.find("key-1") == Voided()
        assert it.provider.charge("key-1", PROVIDER_TOKENS["success"], PRICE, "ord_1") == Voided()
        assert it.captures() == 0

    @pytest.mark.parametrize("token", ["success", "declined"])
    def test_giving_up_comes_too_late_for_what_was_answered(self, it: UnderTest, token: str) -> None:
        outcome = it.provider.charge("key-1", PROVIDER_TOKENS[token], PRICE, "ord_1")

        assert it.provider.void("key-1") == outcome
        assert it.provider.find("key-1") == outcome


class TestOfflineProvider(ProviderSuite):
    """The offline provider over real HTTP."""

    @pytest.fixture
    def it(self, running_provider: Any) -> UnderTest:
        return UnderTest(
            running_provider.client(),
            running_provider.client(read_timeout_s=1.0),
            lambda: running_provider.book.new_token("visa", "4242", Behaviour.SUCCESS),
            lambda: len(running_provider.succeeded("ord_1")),
        )


class TestFakeProvider(ProviderSuite):
    """The one that the unit tests trust."""

    @pytest.fixture
    def it(self, fake_provider: Any) -> UnderTest:
        return UnderTest(fake_provider, fake_provider, lambda: "tok_once_1", fake_provider.captures)


def charge(provider: Provider) -> Any:
    return provider.charge("key-1", "tok_test_success", PRICE, "ord_1")


def test_a_well_formed_charge_is_read_from_the_answer(scripted: Any, charge_json: Any) -> None:
    """The others below differ from this one in one thing each."""
    scripted.status, scripted.body = 201, charge_json()

    expected = Captured("ch_1", PRICE, Card("visa", "4242"), datetime(2026, 11, 22, 12, tzinfo=UTC))
    assert charge(scripted.client()) == expected


@pytest.mark.parametrize("status", [200, 202, 204, 301, 307, 401, 403, 404, 408, 409, 429, 500, 502, 503])
def test_any_other_status_is_unknown(scripted: Any, status: int) -> None:
    scripted.status, scripted.body = status, json.dumps({"error": {"code": "card_declined"}})

    assert isinstance(charge(scripted.client()), Unknown)
    assert isinstance(scripted.client().find("key-1"), Unknown)
    assert scripted.requests == [("POST", "/charges"), ("GET", "/charges")]


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_no_capture_whatever_its_body_says(scripted: Any, charge_json: Any, status: int) -> None:
    scripted.status, scripted.body = status, charge_json()

    assert isinstance(charge(scripted.client()), Unknown)


def test_a_redirect_is_not_followed(scripted: Any, charge_json: Any) -> None:
    scripted.status, scripted.body, scripted.headers = 303, charge_json(), {"Location": "/elsewhere"}

    assert isinstance(charge(scripted.client()), Unknown)
    assert scripted.requests == [("POST", "/charges")]


@pytest.mark.parametrize(
    "body",
    ["", "<html>busy</html>", "null", "[]", "{}", '"succeeded"', "[" * 200_000, "\ud7ff{", '{"status": "succeeded"}'],
    ids=["empty", "html", "null", "list", "object", "string", "deep", "cut", "bare"],
)
@pytest.mark.parametrize("status", [200, 201, 402, 422])
def test_garbage_is_unknown(scripted: Any, status: int, body: str) -> None:
    scripted.status, scripted.body = status, body

    assert isinstance(charge(scripted.client()), Unknown)
    assert isinstance(scripted.client().find("key-1"), Unknown)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "pending"},
        {"status": "failed"},
        {"amount_minor": "12000"},
        {"amount_minor": 12000.0},
        {"amount_minor": True},
        {"amount_minor": 0},
        {"amount_minor": -12000},
        {"currency": "XXX"},
        {"card": None},
        {"card": {"brand": "visa", "last4": "424242"}},
        {"error": {"code": "card_declined"}},
        {"idempotency_key": "another"},
        {"created_at": "yesterday"},
        {"id": ""},
        {"id": "c" * 65},
    ],
    ids=str,
)
def test_a_charge_that_is_wrong_in_one_thing_is_unknown(scripted: Any, charge_json: Any, change: Any) -> None:
    scripted.status, scripted.body = 201, charge_json(**change)
    assert isinstance(charge(scripted.client()), Unknown)

    scripted.status, scripted.body = 200, f'{{"items": [{charge_json(**change)}]}}'
    assert isinstance(scripted.client().find("key-1"), Unknown)


@pytest.mark.parametrize(
    "change",
    [
        {"voided": False},
        {"voided": "yes"},
        {"voided": None},
        {"idempotency_key": "another"},
        {"charge": {"id": "ch_1"}},
    ],
    ids=str,
)
def test_a_void_that_is_wrong_in_one_thing_is_unknown(scripted: Any, change: Any) -> None:
    good = {"idempotency_key": "key-1", "voided": True, "charge": None}
    scripted.body = json.dumps(good)
    assert scripted.client().void("key-1") == Voided()

    scripted.body = json.dumps({**good, **change})
    assert isinstance(scripted.client().void("key-1"), Unknown)


def test_a_charge_under_a_voided_key_is_unknown(scripted: Any, charge_json: Any) -> None:
    scripted.body = f'{{"items": [{charge_json()}], "voided": true}}'
    assert isinstance(scripted.client().find("key-1"), Unknown)
    scripted.body = f'{{"idempotency_key": "key-1", "voided": true, "charge": {charge_json(idempotency_key="key-1")}}}'
    assert isinstance(scripted.client().void("key-1"), Unknown)


@pytest.mark.parametrize(("status", "header"), [(429, "600"), (503, "600"), (429, "a date")])
def test_a_provider_that_wants_to_be_left_alone_is(scripted: Any, status: int, header: str) -> None:
    # a date that was made when the tests were collected would be near by the time that this one runs
    until = _in_ten_minutes() if header == "a date" else header
    scripted.status, scripted.headers = status, {"Retry-After": until}
    provider = scripted.client()

    answers = [charge(provider), provider.find("key-1"), provider.void("key-1"), charge(provider)]

    assert scripted.requests == [("POST", "/charges")]
    assert all(isinstance(answer, Unknown) and 500 < answer.retry_after_s <= 600 for answer in answers)


@pytest.mark.parametrize("header", ["0", "soon", "-5", "1.5", "Tue, 24 Nov 2015 14:00:00 GMT", "9" * 400])
def test_a_provider_that_does_not_say_until_when_is_asked_again(scripted: Any, header: str) -> None:
    scripted.status, scripted.headers = 429, {"Retry-After": header}
    provider = scripted.client()

    answers = [charge(provider), charge(provider)]

    assert all(isinstance(answer, Unknown) for answer in answers)
    assert len(scripted.requests) == (1 if header.startswith("9") else 2), "the longest pause is a quarter of an hour"
    assert all(answer.retry_after_s <= 900 for answer in answers)


def test_two_charges_under_one_key_are_unknown(scripted: Any, charge_json: Any) -> None:
    scripted.body = f'{{"items": [{charge_json()}, {charge_json(id="ch_2")}]}}'

    assert isinstance(scripted.client().find("key-1"), Unknown)


REFUND = {
    "id": "re_1", "status": "succeeded", "charge_id": "ch_1", "amount_minor": 12000, "currency": "USD",
    "idempotency_key": "{key}", "error": None, "created_at": "2026-11-24T12:00:00.000Z",
}  # fmt: skip


def refund(provider: Provider) -> Any:
    return provider.refund("key-1", "ch_1", PRICE)


def test_a_well_formed_refund_is_read_from_the_answer(scripted: Any) -> None:
    scripted.status, scripted.body = 201, json.dumps(REFUND)

    assert refund(scripted.client()) == Refunded("re_1", PRICE, datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert scripted.requests == [("POST", "/refunds")]


@pytest.mark.parametrize("status", [200, 204, 307, 401, 404, 409, 429, 500, 503])
def test_any_other_answer_to_a_refund_is_unknown(scripted: Any, status: int) -> None:
    scripted.status, scripted.body = status, json.dumps({"error": {"code": "charge_unknown"}})

    assert isinstance(refund(scripted.client()), Unknown)
    assert isinstance(scripted.client().find_refund("key-1"), Unknown)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "pending"},
        {"status": "failed"},
        {"amount_minor": 0},
        {"amount_minor": "12000"},
        {"currency": "XXX"},
        {"error": {"code": "charge_unknown"}},
        {"idempotency_key": "another"},
        {"created_at": "yesterday"},
        {"id": ""},
    ],
    ids=str,
)
def test_a_refund_that_is_wrong_in_one_thing_is_unknown(scripted: Any, change: Any) -> None:
    wrong = json.dumps({**REFUND, **change})
    scripted.status, scripted.body = 201, wrong
    assert isinstance(refund(scripted.client()), Unknown)

    scripted.status, scripted.body = 200, f'{{"items": [{wrong}]}}'
    assert isinstance(scripted.client().find_refund("key-1"), Unknown)


@pytest.mark.parametrize("status", [400, 402, 422])
def test_a_refused_refund_is_final(scripted: Any, status: int) -> None:
    scripted.status, scripted.body = status, json.dumps({"error": {"code": "charge_unknown"}})

    assert refund(scripted.client()) == RefundRefused("charge_unknown")


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_request_is_a_decline_since_nothing_was_charged(scripted: Any, status: int) -> None:
    scripted.status, scripted.body = status, json.dumps({"error": {"code": "validation_failed"}})

    assert charge(scripted.client()) == Declined("processing_error")


def test_a_provider_that_is_down_is_unknown() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets it and nobody answers
        provider = OfflineProvider(f"http://127.0.0.1:{reserved.getsockname()[1]}", "key", connect_timeout_s=20.0)

        assert isinstance(charge(provider), Unknown)
        assert isinstance(provider.find("key-1"), Unknown)


def _answer_nothing_then(listener: socket.socket, answers: list[bytes]) -> None:
    for answer in answers:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([b"", b"whole"], Captured), ([b"", b""], Unknown), ([b"HTTP/1.1 20", b"not http at all\r\n\r\n"], Unknown)],
    ids=["once", "twice", "torn"],
)
def test_a_broken_connection_is_tried_once_more_with_the_same_key(
    charge_json: Any, answers: list[bytes], expected: type
) -> None:
    body = charge_json(idempotency_key="key-1").encode()
    whole = b"HTTP/1.1 201 CREATED\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = [whole if answer == b"whole" else answer for answer in answers]
        server = threading.Thread(target=_answer_nothing_then, args=(listener, script), daemon=True)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        assert isinstance(charge(OfflineProvider(url, "key", connect_timeout_s=20.0, read_timeout_s=60.0)), expected)
        server.join(timeout=60)
        assert not server.is_alive()


def test_a_proxy_that_the_environment_names_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    provider = OfflineProvider("http://provider.example", "sk_test")
    monkeypatch.delenv("HTTP_PROXY")  # read once, when the service starts

    assert charge(provider) == Unknown("ProxyError")
