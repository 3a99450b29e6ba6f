"""What every request gets: a correlation id, one line in the log, headers that keep browsers honest; and health."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gateway_fakes import CART, TOKEN, FakeRpc, Send, authenticated

from chassis import context
from chassis.observability import logs
from gateway.identities import digest_of
from gateway.services import SERVICES
from kernel.errors import Kind, Refusal


class TestCorrelation:
    def test_sane_id_is_taken_everywhere(self, send: Send, rpc: FakeRpc) -> None:
        answer = send("GET", "/v1/cart", headers={"X-Correlation-Id": "trace-0123.ABC_d"})
        assert answer.headers.get_all("X-Correlation-Id") == ["trace-0123.ABC_d"]
        assert {call.correlation_id for call in rpc.calls} == {"trace-0123.ABC_d"}

    @pytest.mark.parametrize("offered", ["", "short", "x" * 65, "with blank in it", "quote\"'quote", "é" * 10])
    def test_other_id_is_replaced(self, offered: str, send: Send, rpc: FakeRpc) -> None:
        answer = send("GET", "/v1/cart", headers={"X-Correlation-Id": offered})
        assert answer.headers["X-Correlation-Id"].startswith("cor_")
        assert rpc.calls[-1].correlation_id == answer.headers["X-Correlation-Id"]

    def test_nothing_is_left_behind_for_the_next_request(self, send: Send) -> None:
        assert context.current() is None
        send("GET", "/v1/cart")
        assert context.current() is None


class TestAccessLog:
    @pytest.fixture
    def lines(self) -> Iterator[Any]:
        """What the process would write to standard error."""
        root = logging.getLogger()
        before, level = root.handlers[:], root.level
        logs.configure("gateway")
        written = io.StringIO()
        root.handlers[0].setStream(written)  # type: ignore[attr-defined]
        yield lambda: [
            line for line in map(json.loads, written.getvalue().splitlines()) if line["logger"] == "gateway.access"
        ]
        root.handlers[:] = before
        root.setLevel(level)

    def test_one_line_a_request_without_what_was_sent(self, send: Send, lines: Any) -> None:
        send("PATCH", "/v1/cart/lines/lin_secret", json={"quantity": 2}, headers={"X-Correlation-Id": "trace-0123"})
        send("GET", "/v1/deployments?q=secret")
        send("GET", "/secret")
        send("GET", "/v1/cart?billing_address_id=secret")
        found = lines()
        assert [(line["method"], line["route"], line["status"]) for line in found] == [
            ("PATCH", "/v1/cart/lines/<id:line_id>", 200),
            ("GET", "/v1/deployments", 200),
            ("GET", "unmatched", 404),
            ("GET", "/v1/cart", 200),
        ]
        assert found[0]["correlation_id"] == "trace-0123"
        assert all(line["duration_ms"] >= 0 for line in found)
        assert "secret" not in json.dumps(found)
        assert TOKEN not in json.dumps(found)

    def test_defects_have_a_line_too(self, send: Send, rpc: FakeRpc, lines: Any) -> None:
        rpc.replies["cart.get_cart"] = RuntimeError("x")
        send("GET", "/v1/cart")
        assert lines()[0]["status"] == 500

    def test_made_up_method_is_not_repeated(self, client: FlaskClient, lines: Any) -> None:
        client.open("/healthz", method="X" * 50)
        assert lines()[0]["method"] == "other"


def test_headers_of_every_answer(send: Send, client: FlaskClient) -> None:
    for answer in (send("GET", "/v1/cart"), client.get("/v1/terms"), client.get("/nowhere"), client.get("/docs")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert send("GET", "/v1/cart").headers["Cache-Control"] == "no-store"
    assert client.get("/nowhere").headers["Cache-Control"] == "no-store"
    assert "no-store" not in client.get("/v1/terms").headers.get("Cache-Control", "")


class TestHealth:
    def test_alive_asks_nobody(self, client: FlaskClient, rpc: FakeRpc) -> None:
        assert client.get("/healthz").json == {"status": "ok"}
        assert rpc.calls == []

    def test_ready_when_every_service_answers(self, client: FlaskClient, rpc: FakeRpc) -> None:
        answer = client.get("/readyz", headers={"X-Correlation-Id": "probe-0001"})
        assert answer.status_code == 200
        assert answer.json == {"status": "ready", "services": dict.fromkeys(SERVICES, "ok")}
        assert sorted(rpc.names()) == sorted(f"health.{service}" for service in SERVICES)
        assert {(call.correlation_id, call.timeout_s) for call in rpc.calls} == {("probe-0001", 2)}

    def test_services_are_asked_at_the_same_time(self, client: FlaskClient, rpc: FakeRpc) -> None:
        together = threading.Barrier(len(SERVICES), timeout=20)

        def meet(_: Any) -> dict[str, Any]:
            together.wait()  # breaks if they are asked one after the other
            return {}

        rpc.replies.update({f"health.{service}": meet for service in SERVICES})
        assert client.get("/readyz").status_code == 200

    def test_silent_services_are_named(self, client: FlaskClient, rpc: FakeRpc) -> None:
        for silent in ("payments", "credits"):
            rpc.replies[f"health.{silent}"] = Refusal(Kind.UNAVAILABLE, "unavailable", "Later.")
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["code"], answer.json["bus"]) == (503, "not_ready", "ok")
        assert answer.json["detail"] == "No answer from payments, credits."
        assert {name for name, said in answer.json["services"].items() if said != "ok"} == {"payments", "credits"}
        assert answer.headers["Retry-After"]

    def test_a_service_that_is_not_well_says_why(self, client: FlaskClient, rpc: FakeRpc) -> None:
        why = "queue credits.dead exists with x-queue-type classic, wanted quorum"
        rpc.replies["health.credits"] = Refusal(Kind.UNAVAILABLE, "not_ready", why)
        rpc.replies["health.cart"] = Refusal(Kind.UNAVAILABLE, "unavailable", "Later.")
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["code"], answer.json["bus"]) == (503, "not_ready", "ok")
        assert answer.json["detail"] == f"No answer from cart. credits: {why}."
        assert (answer.json["services"]["credits"], answer.json["services"]["cart"]) == (why, "no answer")

    def test_bus_away_is_said(self, client: FlaskClient, rpc: FakeRpc) -> None:
        rpc.replies.clear()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["bus"]) == (503, "no answer")

    def test_answer_is_repeated_for_a_moment(self, client: FlaskClient, rpc: FakeRpc) -> None:
        for _ in range(5):
            client.get("/readyz")
        assert len(rpc.calls) == len(SERVICES)


def test_threads_do_not_mix(app: Flask, rpc: FakeRpc) -> None:
    """Each of many concurrent requests gets its own identity, correlation id and answer."""
    tokens = [f"pcs_{number:043d}" for number in range(16)]
    owner = {digest_of(token): str(number) for number, token in enumerate(tokens)}
    rpc.replies["accounts.authenticate"] = lambda data: authenticated(identity=owner[data["credential_digest"]])

    def cart_of_caller(_: Any) -> dict[str, Any]:
        at_hand = context.current()
        assert at_hand is not None
        return {**CART, "id": f"{at_hand.identity_token} {at_hand.correlation_id}"}

    rpc.replies["cart.get_cart"] = cart_of_caller

    def hammer(number: int) -> list[Any]:
        client = app.test_client()
        wrong = []
        for turn in range(25):
            trace = f"trace-{number}-{turn}"
            headers = {"Authorization": f"Bearer {tokens[number]}", "X-Correlation-Id": trace}
            answer = client.get("/v1/cart", headers=headers)
            if (answer.status_code, (answer.json or {}).get("id")) != (200, f"{number} {trace}"):
                wrong.append((answer.status_code, answer.json))
        return wrong

    with ThreadPoolExecutor(16) as pool:
        assert [each for found in pool.map(hammer, range(16)) for each in found] == []
    assert len([call for call in rpc.calls if call.method == "accounts.authenticate"]) == 16
