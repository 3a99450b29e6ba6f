"""The gateway as a process of its own: gunicorn, threads, signals, and what never becomes a request."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from gateway_fakes import ORGANIZATION, USER
from gateway_process import ENVIRONMENT, Process, read_all, running

from chassis.messages import ENVELOPE
from chassis.messaging.link import Link, connect
from chassis.settings import Environment, SettingsError
from gateway.identities import IdentityCache
from gateway.settings import read
from gateway.wsgi import listen
from kernel.ids import new_id


def test_settings_name_every_problem() -> None:
    with pytest.raises(SettingsError) as problems:
        read(Environment({"GATEWAY_THREADS": "many"}))
    for name in ("ACCOUNTS_SEALING_PUBLIC_KEY", "CREDITS_SEALING_PUBLIC_KEY", "AMQP_URI", "GATEWAY_THREADS"):
        assert name in str(problems.value)


def test_settings_do_not_show_the_password_of_the_bus() -> None:
    settings = read(Environment({**ENVIRONMENT, "AMQP_URI": "amqp://gateway:hush@bus//"}))
    assert settings.threads == 4
    assert "hush" not in repr(settings)


def test_revocation_over_the_bus_ends_a_credential() -> None:
    digest = "d" * 64
    identities = IdentityCache()
    revoked = threading.Event()
    revoke = identities.revoke

    def heard(found: str) -> None:
        revoke(found)
        revoked.set()

    identities.revoke = heard  # type: ignore[method-assign]
    broadcast = listen(identities, "memory://")
    broadcast.start()
    try:
        assert broadcast.wait_ready(10)
        identities.find(digest, _authenticated)
        assert len(identities) == 1
        connection = connect("memory://")
        envelope = ENVELOPE.dump(
            {
                "id": new_id("evt"),
                "type": "accounts.credential_revoked.v1",
                "occurred_at": _authenticated("")["believed_until"],
                "data": {"credential_digest": digest},
            }
        )
        Link(connection).publish(json.dumps(envelope), exchange="accounts.events", routing_key="credential_revoked.v1")
        assert revoked.wait(10)
        assert len(identities) == 0
    finally:
        broadcast.stop()
    identities.find("e" * 64, _authenticated)
    assert len(identities) == 0, "nothing is kept while nobody listens"


def _authenticated(_: str) -> dict[str, object]:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    return {"identity": "x", "believed_until": soon, "expires_at": None, "user": USER, "organization": ORGANIZATION}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def test_it_is_alive_and_says_that_it_is_not_ready(gateway: Process) -> None:
    answer = requests.get(f"{gateway.url}/readyz", timeout=30)
    assert (answer.status_code, answer.json()["bus"]) == (503, "no answer")


def test_services_away_are_503(gateway: Process) -> None:
    headers = {"Authorization": "Bearer pcs_" + "a" * 43}
    answer = requests.get(f"{gateway.url}/v1/cart", headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /4111111111111111 HTTP/9.9\r\n\r\n", 400),
        (b"nonsense 4111111111111111\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 5000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 60 + b"\r\n", 431),
    ],
)  # fmt: skip
def test_what_is_no_request_is_a_problem_too(request_bytes: bytes, status: int, gateway: Process) -> None:
    head, _, body = gateway.raw(request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (status, f"urn:punchcard:problem:{problem['code']}")
    assert b"4111" not in body
    assert "4111111111111111" not in gateway.log.read_text()


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_body_over_64_kb_is_refused_however_it_comes(framing: str, gateway: Process) -> None:
    body = b"x" * 70_000
    data = iter([body]) if framing == "chunks" else body
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{gateway.url}/v1/sessions", data=data, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_log_is_one_json_object_a_line(gateway: Process) -> None:
    requests.get(f"{gateway.url}/healthz?q=secret", headers={"X-Correlation-Id": "trace-process-1"}, timeout=30)
    lines = [line for line in gateway.log.read_text().splitlines() if line.startswith("{")]
    found = [json.loads(line) for line in lines if "trace-process-1" in line]
    assert [(line["route"], line["status"], line["service"]) for line in found] == [("/healthz", 200, "gateway")]
    assert "secret" not in "".join(lines)


def test_stops_on_sigterm_after_the_request_under_way(gateway: Process) -> None:
    """Last in this module: the process is gone afterwards."""
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as slow:
        slow.sendall(head + b"{")
        requests.get(f"{gateway.url}/healthz", timeout=30)  # by then the slow one has been accepted
        gateway.process.send_signal(signal.SIGTERM)
        slow.sendall(b"}")
        received = read_all(slow)
    assert received.startswith(b"HTTP/1.1 422 ")
    assert gateway.process.wait(30) == 0
