"""More than the gateway can take: what is let in, what waits, and what is refused at once."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from gateway_process import Process, read_all, running

from chassis.local_servers import free_port
from chassis.testing import wait_until
from gateway.admission import Gate

HELD = (
    b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{"
)


class Application:
    """Answers each request once it is told to."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.taken: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.taken.append(environ["PATH_INFO"])
        self.inside.release()
        if environ["PATH_INFO"] != "/healthz":
            assert self.let_go.acquire(timeout=60)
        if environ["PATH_INFO"] == "/breaks":
            raise RuntimeError("a defect")
        start_response("200 OK", [])
        return [b"done"]


class Client:
    """Asks a gate from threads of its own."""

    def __init__(self, gate: Gate, pool: ThreadPoolExecutor) -> None:
        self._gate = gate
        self._pool = pool

    def ask(self, path: str) -> tuple[str, dict[str, str], bytes]:
        found: list[Any] = []
        body = b"".join(self._gate({"PATH_INFO": path}, lambda status, headers: found.extend((status, dict(headers)))))
        return found[0], found[1], body

    def start(self, path: str) -> Any:
        return self._pool.submit(self.ask, path)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def gate(application: Application) -> Gate:
    return Gate(application, at_once=2, waiting=2, patience_s=60)


@pytest.fixture
def client(gate: Gate) -> Iterator[Client]:
    with ThreadPoolExecutor(8) as pool:
        yield Client(gate, pool)


def in_progress_and_waiting(gate: Gate) -> tuple[float, ...]:
    return tuple(value for _, _, value in gate._samples())


def test_so_many_at_once_so_many_wait_and_the_rest_is_refused(
    gate: Gate, application: Application, client: Client
) -> None:
    working = [client.start("/a"), client.start("/b")]
    for _ in working:
        assert application.inside.acquire(timeout=30)
    waiting = []
    for number, path in enumerate(("/first", "/second"), 1):
        waiting.append(client.start(path))
        wait_until(lambda number=number: in_progress_and_waiting(gate) == (2, number), f"{path} to wait")
    status, headers, body = client.ask("/refused")
    assert status == "503 SERVICE UNAVAILABLE"
    assert headers["Retry-After"] == "1"
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "over_capacity"
    assert client.ask("/healthz")[0] == "200 OK"
    application.let_go.release()
    wait_until(lambda: len(application.taken) == 4, "the next one's turn")
    assert application.taken[2:] == ["/healthz", "/first"]
    for _ in range(3):
        application.let_go.release()
    assert {each.result(60)[0] for each in (*working, *waiting)} == {"200 OK"}
    assert application.taken[4:] == ["/second"]
    assert in_progress_and_waiting(gate) == (0, 0)
    application.let_go.release()
    assert client.ask("/after")[0] == "200 OK"


def test_who_waits_in_vain_is_refused_and_takes_no_turn(application: Application) -> None:
    gate = Gate(application, at_once=1, waiting=1, patience_s=0.05)
    with ThreadPoolExecutor(2) as pool:
        client = Client(gate, pool)
        working = client.start("/a")
        assert application.inside.acquire(timeout=30)
        assert client.ask("/in vain")[0].startswith("503")
        assert in_progress_and_waiting(gate) == (1, 0)
        application.let_go.release()
        assert working.result(60)[0] == "200 OK"
    assert in_progress_and_waiting(gate) == (0, 0)


def test_what_breaks_gives_its_turn_back(gate: Gate, application: Application, client: Client) -> None:
    for _ in range(3):
        application.let_go.release()
        with pytest.raises(RuntimeError):
            client.ask("/breaks")
    assert in_progress_and_waiting(gate) == (0, 0)


def test_many_at_once_lose_no_turn(application: Application) -> None:
    gate = Gate(application, at_once=3, waiting=1000, patience_s=60)
    for _ in range(400):
        application.let_go.release()
    with ThreadPoolExecutor(40) as pool:
        client = Client(gate, pool)
        answers = [each.result(60)[0] for each in [client.start(f"/{number}") for number in range(400)]]
    assert answers == ["200 OK"] * 400
    assert in_progress_and_waiting(gate) == (0, 0)


@pytest.fixture(scope="module")
def metrics_url() -> str:
    return f"http://127.0.0.1:{free_port()}/metrics"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, metrics_url: str) -> Iterator[Process]:
    port = metrics_url.rsplit(":")[-1].partition("/")[0]
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, GATEWAY_THREADS="3", GATEWAY_WAITING="0", PUNCHCARD_METRICS_PORT=port) as found:
        yield found


def test_requests_over_capacity_are_503_at_once_while_it_is_alive_and_watched(
    gateway: Process, metrics_url: str
) -> None:
    with ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=60)) for _ in range(3)
        ]
        for connection in held:
            connection.sendall(HELD)
        wait_until(lambda: "punchcard_http_in_progress 3.0" in requests.get(metrics_url, timeout=30).text, "all three")
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: requests.get(f"{gateway.url}/v1/cart", timeout=60), range(100)))
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["code"] for answer in answers} == {"over_capacity"}
        assert all(answer.headers["Retry-After"] == "1" and answer.headers["X-Correlation-Id"] for answer in answers)
        assert requests.get(f"{gateway.url}/healthz", timeout=60).status_code == 200
        assert requests.get(f"{gateway.url}/readyz", timeout=60).json()["code"] == "not_ready", "asked, not refused"
        shown = requests.get(metrics_url, timeout=30).text
        assert "punchcard_http_refused_total 100.0" in shown
        for connection in held:
            connection.sendall(b"}")
            assert read_all(connection).startswith(b"HTTP/1.1 422 "), "what was let in was answered"
    answer = requests.get(f"{gateway.url}/v1/cart", timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_what_was_answered_is_counted_by_route_and_never_by_address(gateway: Process, metrics_url: str) -> None:
    requests.get(f"{gateway.url}/v1/orders/ord_secret", timeout=60)
    requests.request("BREW", f"{gateway.url}/coffee", timeout=60)

    def shown() -> str:
        return requests.get(metrics_url, timeout=30).text

    line = 'punchcard_http_request_seconds_count{method="GET",route="/v1/orders/<id:order_id>",status="401"} 1.0'
    wait_until(lambda: line in shown(), f"the metrics to show {line}")
    wait_until(lambda: 'count{method="other",route="unmatched"' in shown(), "the unknown method")
    assert "ord_secret" not in shown()
    assert "BREW" not in shown()
