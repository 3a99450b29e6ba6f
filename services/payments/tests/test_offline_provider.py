"""The offline provider as its own application: tokens, charges, the book."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from chassis.testing import FixedClock
from kernel.card_numbers import passes_luhn
from kernel.ids import new_id
from payments.offline_provider import PROVIDER_TOKENS, create_app
from payments.offline_provider.book import Book, KeyVoidedError
from payments.offline_provider.cards import TEST_CARDS, Behaviour

SECRET = "the secret of the tests"
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123", "name": "Ada Buyer"}
CHARGE = {"token": "tok_test_success", "amount_minor": 12000, "currency": "USD", "reference": "ord_1"}


@pytest.fixture
def client(tmp_path: Path, clock: FixedClock) -> Iterator[FlaskClient]:
    app = create_app(tmp_path / "book.db", SECRET, slow_s=0, hang_s=0, clock=clock)
    yield app.test_client()
    app.extensions["book"].close()


def _auth(key: str = "key-1", secret: str = SECRET) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}


def _charge(client: FlaskClient, key: str = "key-1", **changes: Any) -> Any:
    return client.post("/charges", json={**CHARGE, **changes}, headers=_auth(key))


def _fields(response: Any) -> set[str]:
    assert response.status_code == 422
    return {error["field"] for error in response.json["error"]["fields"]}


def test_a_card_becomes_a_token_that_pays_once(client: FlaskClient) -> None:
    made = client.post("/tokens", json={**CARD, "number": "4242 4242-4242 4242"})
    assert made.status_code == 201
    token = made.json["token"]
    assert made.json == {"token": token, "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030}
    assert token.startswith("tok_")

    paid = _charge(client, token=token)
    assert paid.status_code == 201
    assert paid.json == {
        "id": paid.json["id"], "status": "succeeded", "amount_minor": 12000, "currency": "USD", "reference": "ord_1",
        "idempotency_key": "key-1", "created_at": "2026-11-22T12:00:00.000Z",
        "card": {"brand": "visa", "last4": "4242"}, "error": None,
    }  # fmt: skip
    again = _charge(client, "key-2", token=token)
    assert (again.status_code, again.json["error"]["code"]) == (402, "token_already_used")
    assert client.get(f"/charges/{paid.json['id']}", headers=_auth()).json == paid.json


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("4242424242424242", 201, None),
        ("4000000000000002", 402, "card_declined"),
        ("4000000000009995", 402, "insufficient_funds"),
        ("4000000000000101", 201, None),
        ("4000000000000119", 201, None),
    ],
)
def test_every_test_card_does_what_it_is_for(client: FlaskClient, number: str, status: int, code: str | None) -> None:
    token = client.post("/tokens", json={**CARD, "number": number}).json["token"]

    answers = [_charge(client, token=token) for _ in range(2)]

    for answer in answers:
        assert answer.status_code == status
        assert (answer.json["error"] or {}).get("code") == code
    assert answers[0].json == answers[1].json
    [booked] = client.get("/charges?reference=ord_1", headers=_auth()).json["items"]
    assert booked["status"] == ("succeeded" if status == 201 else "failed")
    assert booked["card"]["last4"] == number[-4:]


def test_the_well_known_tokens_pay_any_number_of_times(client: FlaskClient) -> None:
    assert set(PROVIDER_TOKENS) == {"success", "declined", "insufficient_funds", "slow", "timeout", "disputed", "3ds"}
    for name, token in PROVIDER_TOKENS.items():
        expected = {"declined": 402, "insufficient_funds": 402, "3ds": 202}.get(name, 201)
        assert {_charge(client, f"{name}-{number}", token=token).status_code for number in range(3)} == {expected}
    items = client.get("/charges?reference=ord_1", headers=_auth()).json["items"]
    assert len({charge["id"] for charge in items}) == 18


def _challenge(client: FlaskClient, key: str = "key-1") -> dict[str, Any]:
    asked = _charge(client, key, token=PROVIDER_TOKENS["3ds"])
    assert (asked.status_code, asked.json["status"]) == (202, "requires_action")
    assert client.get(f"/charges?idempotency_key={key}", headers=_auth()).json["items"] == [asked.json]
    return {**asked.json, "path": asked.json["next_action"]["url"].removeprefix("http://localhost")}


@pytest.mark.parametrize(("outcome", "error"), [("confirm", None), ("refuse", "authentication_failed")])
def test_a_payer_decides_once_and_only_by_a_post(client: FlaskClient, outcome: str, error: str | None) -> None:
    waiting = _challenge(client)
    assert client.get("/charges?reference=ord_1", headers=_auth()).json["items"] == []
    for _ in range(2):
        page = client.get(waiting["path"])
        assert (page.status_code, b"120.00 USD" in page.data, b"<form" in page.data) == (200, True, True)
    assert client.post(waiting["path"], data={}).status_code == 422
    assert client.post(waiting["path"], data={"outcome": outcome}).status_code == 200
    [charge] = client.get("/charges?idempotency_key=key-1", headers=_auth()).json["items"]
    assert (charge["id"], (charge["error"] or {}).get("code")) == (waiting["id"], error)
    again = client.post(waiting["path"], json={"outcome": "confirm"})
    assert (again.status_code, again.json["error"]["code"]) == (409, "challenge_over")
    assert b"<form" not in client.get(waiting["path"]).data
    assert len(client.get("/charges?reference=ord_1", headers=_auth()).json["items"]) == 1
    assert client.post("/challenges/chl_none", json={"outcome": "confirm"}).status_code == 404


def test_a_payment_that_nobody_confirms_is_over_after_a_while(client: FlaskClient, clock: FixedClock) -> None:
    waiting = _challenge(client)
    clock.advance(seconds=900)
    [charge] = client.get("/charges?idempotency_key=key-1", headers=_auth()).json["items"]
    assert charge["error"]["code"] == "authentication_expired"
    assert client.post(waiting["path"], json={"outcome": "confirm"}).status_code == 409


def test_what_was_given_up_cannot_be_confirmed(client: FlaskClient) -> None:
    waiting = _challenge(client)
    given_up = client.post("/charges/void", json={"idempotency_key": "key-1"}, headers=_auth())
    assert given_up.json == {"idempotency_key": "key-1", "voided": True, "charge": None}
    late = client.post(waiting["path"], json={"outcome": "confirm"})
    assert (late.status_code, late.json["error"]["outcome"]) == (409, "voided")
    found = client.get("/charges?idempotency_key=key-1", headers=_auth()).json
    assert found == {"items": [], "voided": True}


def test_a_one_time_token_of_a_challenge_is_spent(client: FlaskClient) -> None:
    token = client.post("/tokens", json={**CARD, "number": "4000000000003220"}).json["token"]
    assert [_charge(client, token=token).status_code for _ in range(2)] == [202, 202]
    other = _charge(client, "key-2", token=token)
    assert (other.status_code, other.json["error"]["code"]) == (402, "token_already_used")


def test_the_published_numbers_are_valid() -> None:
    assert all(passes_luhn(number) for number in TEST_CARDS)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"number": "4242424242424241"}, "number"),
        ({"number": "4012888888881881"}, "number"),
        ({"number": "42424242"}, "number"),
        ({"number": ""}, "number"),
        ({"number": 4242424242424242}, "number"),
        ({"number": "\u0664242424242424242"}, "number"),
        ({"exp_month": 0}, "exp_month"),
        ({"exp_month": 13}, "exp_month"),
        ({"exp_month": "12"}, "exp_month"),
        ({"exp_year": 30}, "exp_year"),
        ({"exp_month": 10, "exp_year": 2026}, "exp_year"),
        ({"exp_year": 2025}, "exp_year"),
        ({"cvc": "12"}, "cvc"),
        ({"cvc": "1234"}, "cvc"),
        ({"cvc": "12a"}, "cvc"),
        ({"number": "378282246310005", "cvc": "123"}, "cvc"),
        ({"name": ""}, "name"),
        ({"zip": "1"}, "zip"),
    ],
    ids=str,
)
def test_a_wrong_card_is_refused_by_field_and_not_repeated(
    client: FlaskClient, change: dict[str, Any], field: str
) -> None:
    answer = client.post("/tokens", json={**CARD, **change})

    assert _fields(answer) == {field}
    number = str({**CARD, **change}["number"])
    assert not number or number not in answer.text


@pytest.mark.parametrize(
    "change",
    [{"number": "378282246310005", "cvc": "1234"}, {"exp_month": 11, "exp_year": 2026}],
    ids=["amex", "this month"],
)
def test_a_card_at_the_edge_is_taken(client: FlaskClient, change: dict[str, Any]) -> None:
    assert client.post("/tokens", json={**CARD, **change}).status_code == 201


def test_a_token_is_good_for_an_hour(client: FlaskClient, clock: FixedClock) -> None:
    fresh, stale = (client.post("/tokens", json=CARD).json["token"] for _ in range(2))
    clock.advance(hours=1)
    assert _charge(client, "fresh", token=fresh).status_code == 201
    clock.advance(seconds=1)
    assert _charge(client, "stale", token=stale).json["error"]["code"] == "token_expired"
    assert _charge(client, "fresh", token=fresh).status_code == 201


def test_pages_of_any_shop_may_make_tokens_and_nothing_else(client: FlaskClient) -> None:
    asked = client.options("/tokens", headers={"Origin": "http://shop", "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    assert asked.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert client.post("/tokens", json={}).headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in _charge(client).headers


@pytest.mark.parametrize("secret", ["", "wrong", "the secret of the testz", "é"])
def test_charges_are_for_those_with_the_key(client: FlaskClient, secret: str) -> None:
    headers = _auth(secret=secret)
    for answer in (
        client.post("/charges", json=CHARGE, headers=headers),
        client.get("/charges?reference=ord_1", headers=headers),
        client.get("/charges/ch_1", headers=headers),
    ):
        assert (answer.status_code, answer.json["error"]["code"]) == (401, "unauthenticated")
    assert client.get("/charges?reference=ord_1", headers=_auth()).json == {"items": []}


@pytest.mark.parametrize("change", [{"amount_minor": 1}, {"currency": "EUR"}, {"reference": "x"}, {"token": "tok_x"}])
def test_another_body_under_the_same_key_is_refused(client: FlaskClient, change: dict[str, Any]) -> None:
    first = _charge(client)

    answer = _charge(client, **change)

    assert (answer.status_code, answer.json["error"]["code"]) == (409, "idempotency_key_reused")
    assert client.get("/charges?idempotency_key=key-1", headers=_auth()).json == {
        "items": [first.json],
        "voided": False,
    }


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_charge_needs_a_key(client: FlaskClient, key: str) -> None:
    answer = _charge(client, key)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -5}, "amount_minor"),
        ({"amount_minor": True}, "amount_minor"),
        ({"amount_minor": 10**13}, "amount_minor"),
        ({"currency": "XXX"}, "currency"),
        ({"reference": ""}, "reference"),
        ({"state": "paid"}, "state"),
    ],
    ids=str,
)
def test_a_wrong_charge_is_refused_and_not_booked(client: FlaskClient, change: dict[str, Any], field: str) -> None:
    assert _fields(_charge(client, **change)) == {field}
    assert client.get("/charges?idempotency_key=key-1", headers=_auth()).json == {"items": [], "voided": False}


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b"[" * 15_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"number": 1}', "text/plain", 415),
        (b" " * 20_000, "application/json", 413),
    ],
    ids=["broken", "list", "null", "deep", "bytes", "type", "large"],
)
def test_a_body_that_is_no_body_is_refused(client: FlaskClient, body: bytes, content_type: str, status: int) -> None:
    for path in ("/tokens", "/charges"):
        answer = client.post(path, data=body, content_type=content_type, headers=_auth())
        assert answer.status_code == status
        assert set(answer.json["error"]) >= {"code", "message"}


def test_a_voided_key_is_never_charged(client: FlaskClient) -> None:
    def void() -> Any:
        return client.post("/charges/void", json={"idempotency_key": "key-1"}, headers=_auth())

    assert void().json == void().json == {"idempotency_key": "key-1", "voided": True, "charge": None}
    late = _charge(client)
    assert (late.status_code, late.json["error"]["code"]) == (410, "key_voided")
    assert client.get("/charges?idempotency_key=key-1", headers=_auth()).json == {"items": [], "voided": True}
    assert client.get("/charges?reference=ord_1", headers=_auth()).json == {"items": []}
    assert _charge(client, "key-2").status_code == 201


@pytest.mark.parametrize("token", ["tok_test_success", "tok_test_declined"])
def test_what_stands_in_the_book_is_not_voided(client: FlaskClient, token: str) -> None:
    _charge(client, token=token)
    [charge] = client.get("/charges?reference=ord_1", headers=_auth()).json["items"]

    answer = client.post("/charges/void", json={"idempotency_key": "key-1"}, headers=_auth())

    assert answer.json == {"idempotency_key": "key-1", "voided": False, "charge": charge}


def test_a_void_is_for_those_with_the_key_and_names_one(client: FlaskClient) -> None:
    assert client.post("/charges/void", json={"idempotency_key": "k"}, headers=_auth(secret="x")).status_code == 401
    assert _fields(client.post("/charges/void", json={}, headers=_auth())) == {"idempotency_key"}


def test_a_charge_and_its_void_at_once_are_one_of_the_two(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.db", timedelta(hours=1))
    start = threading.Barrier(2, timeout=60)

    def charge(key: str) -> bool:
        start.wait()
        try:
            return bool(book.charge(key, CHARGE))
        except KeyVoidedError:
            return False

    def void(key: str) -> bool:
        start.wait()
        return book.void(key) is None

    with ThreadPoolExecutor(2) as pool:
        for number in range(50):
            charged, voided = pool.submit(charge, f"key-{number}"), pool.submit(void, f"key-{number}")
            assert charged.result() is not voided.result()
    book.close()


def test_charges_are_found_in_one_way_at_a_time(client: FlaskClient) -> None:
    for query in ("", "?reference=a&idempotency_key=b"):
        assert client.get(f"/charges{query}", headers=_auth()).status_code == 400
    assert client.get("/charges/ch_nobody", headers=_auth()).status_code == 404
    assert client.get("/healthz").json == {"status": "ok"}


def test_the_book_is_append_only_and_holds_no_card_number(client: FlaskClient, tmp_path: Path) -> None:
    token = client.post("/tokens", json=CARD).json["token"]
    _charge(client, token=token)

    book = sqlite3.connect(tmp_path / "book.db")
    client.post("/charges/void", json={"idempotency_key": "key-2"}, headers=_auth())
    for change in ("UPDATE charge SET amount_minor = 1", "DELETE FROM charge", "UPDATE token SET last4 = ''",
                   "DELETE FROM token", "UPDATE void SET created_at = ''", "DELETE FROM void"):  # fmt: skip
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            book.execute(change)
    dump = "\n".join(book.iterdump())
    book.close()
    assert "4242" in dump
    assert not any(number in dump for number in TEST_CARDS)


def test_the_book_survives_a_restart(tmp_path: Path) -> None:
    first = create_app(tmp_path / "book.db", SECRET)
    charge = _charge(first.test_client()).json
    first.extensions["book"].close()

    second = create_app(tmp_path / "book.db", SECRET)
    assert _charge(second.test_client()).json == charge
    second.extensions["book"].close()


def test_a_token_pays_once_even_if_two_processes_share_the_book(tmp_path: Path) -> None:
    books = [Book(tmp_path / "book.db", timedelta(hours=1)) for _ in range(4)]
    token = books[0].new_token("visa", "4242", Behaviour.SUCCESS)
    start = threading.Barrier(len(books), timeout=60)

    def charge(book: Book) -> list[str]:
        start.wait()
        return [book.charge(new_id("key"), {**CHARGE, "token": token})[0]["status"] for _ in range(10)]

    with ThreadPoolExecutor(len(books)) as pool:
        statuses = [status for found in pool.map(charge, books) for status in found]
    for book in books:
        book.close()

    assert sorted(statuses) == ["failed"] * 39 + ["succeeded"]


def test_it_needs_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="secret"):
        create_app(tmp_path / "book.db", "")


def test_it_runs_as_a_program_and_stops_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "payments.offline_provider", "--port", "0", "--book", str(tmp_path / "book.db")]
    program = subprocess.Popen([*command, "--key", SECRET], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        url = program.stdout.readline().split()[-1]
        answer = requests.post(f"{url}/charges", json=CHARGE, headers=_auth(), timeout=60)
        assert answer.status_code == 201
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=60) == 0
    finally:
        program.kill()
        program.wait()
        program.stdout.close()


_UNDER_EVENTLET = """
import eventlet
eventlet.monkey_patch()
import json, sys
from eventlet import wsgi
from kernel.money import Money
from payments.offline_provider import PROVIDER_TOKENS, create_app
from payments.providers.offline import OfflineProvider

listener = eventlet.listen(("127.0.0.1", 0))
eventlet.spawn(wsgi.server, listener, create_app(sys.argv[1], "key", hang_s=600), log_output=False)
url = f"http://127.0.0.1:{listener.getsockname()[1]}"
provider = OfflineProvider(url, "key", connect_timeout_s=20, read_timeout_s=60)
price = Money(100, "USD")
hanging = [eventlet.spawn(provider.charge, f"hang-{n}", PROVIDER_TOKENS["timeout"], price, "o") for n in range(5)]
while any(type(provider.find(f"hang-{n}")).__name__ != "Captured" for n in range(5)):
    eventlet.sleep(0.05)
fast = provider.charge("fast", PROVIDER_TOKENS["success"], price, "o")
print(json.dumps({"fast": type(fast).__name__, "hanging": [bool(thread.dead) for thread in hanging]}))
"""


def test_under_eventlet_a_hanging_card_holds_up_nobody(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_EVENTLET, str(tmp_path / "book.db")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"fast": "Captured", "hanging": [False] * 5}
