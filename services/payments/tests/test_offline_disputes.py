"""Disputes at the offline provider: payers who have their bank take a charge back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.testing import FixedClock
from payments.offline_provider import Target, create_app

SECRET = "the secret of the tests"
CHARGE = {"token": "tok_test_success", "amount_minor": 12000, "currency": "USD", "reference": "ord_1"}


@pytest.fixture
def client(tmp_path: Path, clock: FixedClock) -> Iterator[FlaskClient]:
    target = Target("http://127.0.0.1:9/never", "whsec", after_s=(0.0,))
    app = create_app(tmp_path / "book.db", SECRET, slow_s=0, hang_s=0, clock=clock, webhooks=target)
    yield app.test_client()
    app.extensions["book"].close()


def _ask(client: FlaskClient, method: str, path: str, key: str = "k", **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {SECRET}", "Idempotency-Key": key}
    return client.open(path, method=method, headers=headers, **options)


def _charge(client: FlaskClient, key: str = "k", **changes: Any) -> Any:
    answer = _ask(client, "POST", "/charges", key, json={**CHARGE, **changes})
    assert answer.status_code == 201, answer.json
    return answer.json


def _disputed(client: FlaskClient, key: str = "k", **more: Any) -> Any:
    charge = _charge(client, key)
    answer = _ask(client, "POST", "/disputes", json={"charge_id": charge["id"], **more})
    assert answer.status_code == 201, answer.json
    return answer.json


def _refund(client: FlaskClient, charge_id: str, amount_minor: int, key: str) -> Any:
    body = {"charge_id": charge_id, "amount_minor": amount_minor, "currency": "USD"}
    return _ask(client, "POST", "/refunds", key, json=body)


def test_the_card_of_a_payer_who_disputes(client: FlaskClient) -> None:
    charge = _charge(client, token="tok_test_disputed")
    [dispute] = _ask(client, "GET", "/disputes?reference=ord_1").json["items"]
    assert dispute == {
        "id": dispute["id"], "charge_id": charge["id"], "idempotency_key": "k", "reference": "ord_1",
        "amount_minor": 12000, "currency": "USD", "reason": "not_recognized", "status": "open",
        "evidence_due_at": "2026-12-06T12:00:00.000Z", "created_at": "2026-11-22T12:00:00.000Z", "closed_at": None,
    }  # fmt: skip
    told = [
        (news.event["type"], news.event["data"].get("dispute"))
        for news in client.application.extensions["book"].due_news(9)
    ]
    assert told == [("charge.succeeded", None), ("dispute.opened", dispute)]


def test_a_charge_is_disputed_once_and_for_no_more_than_it_took(client: FlaskClient) -> None:
    charge = _charge(client)
    _refund(client, charge["id"], 2000, "r")
    too_much = _ask(client, "POST", "/disputes", json={"charge_id": charge["id"], "amount_minor": 10001})
    assert (too_much.status_code, too_much.json["error"]["code"]) == (409, "not_disputable")
    rest = _ask(client, "POST", "/disputes", json={"charge_id": charge["id"]})
    assert (rest.status_code, rest.json["amount_minor"]) == (201, 10000)
    for charge_id in (charge["id"], "ch_unknown"):
        assert _ask(client, "POST", "/disputes", json={"charge_id": charge_id}).status_code == 409


@pytest.mark.parametrize(("outcome", "refund"), [(None, 402), ("lost", 402), ("won", 201)])
def test_nobody_gets_the_money_twice(client: FlaskClient, outcome: str | None, refund: int) -> None:
    dispute = _disputed(client)
    if outcome:
        assert _ask(client, "POST", f"/disputes/{dispute['id']}/decide", json={"outcome": outcome}).status_code == 200
    answer = _refund(client, dispute["charge_id"], 12000, "r")
    assert answer.status_code == refund
    if refund == 402:
        assert answer.json["error"]["code"] == "charge_disputed"


def test_the_network_decides_once(client: FlaskClient, clock: FixedClock) -> None:
    path = f"/disputes/{_disputed(client)['id']}"
    assert _ask(client, "POST", f"{path}/evidence", json={"text": "They signed for it."}).status_code == 200
    clock.advance(days=3)
    won = _ask(client, "POST", f"{path}/decide", json={"outcome": "won"}).json
    assert (won["status"], won["closed_at"]) == ("won", "2026-11-25T12:00:00.000Z")
    assert _ask(client, "POST", f"{path}/decide", json={"outcome": "won"}).json == won
    # the same words once more, by somebody who never got the answer
    assert _ask(client, "POST", f"{path}/evidence", json={"text": "They signed for it."}).json == won
    for what, body in (("accept", {}), ("decide", {"outcome": "lost"}), ("evidence", {"text": "And more."})):
        late = _ask(client, "POST", f"{path}/{what}", json=body)
        assert (late.status_code, late.json["error"]["code"]) == (409, "dispute_over")
    assert _ask(client, "POST", "/disputes/dp_unknown/accept").status_code == 404


def test_changes_are_listed_from_where_one_was(client: FlaskClient) -> None:
    first, second = _disputed(client, "k1"), _disputed(client, "k2")
    begun = _ask(client, "GET", "/disputes").json
    assert [each["id"] for each in begun["items"]] == [first["id"], second["id"]]
    accepted = _ask(client, "POST", f"/disputes/{first['id']}/accept").json
    assert accepted["status"] == "lost"
    later = _ask(client, "GET", f"/disputes?after={begun['last']}").json
    assert later["items"] == [accepted]
    assert _ask(client, "GET", f"/disputes?after={later['last']}").json == {"items": [], "last": later["last"]}
    assert _ask(client, "GET", "/disputes?after=now").status_code == 400


def test_only_the_merchant_sees_them(client: FlaskClient) -> None:
    dispute = _disputed(client)
    for method, path in (
        ("GET", "/disputes"), ("POST", "/disputes"), ("POST", f"/disputes/{dispute['id']}/accept"),
        ("POST", f"/disputes/{dispute['id']}/evidence"), ("POST", f"/disputes/{dispute['id']}/decide"),
    ):  # fmt: skip
        assert client.open(path, method=method).status_code == 401
