"""The circuit breaker: by itself, and in the RPC client in front of a service that is dead and comes back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from echo.process import Echo

from chassis.rpc import RpcClient
from chassis.rpc.breaker import FAILURES, PROBE_EVERY_S, Breaker
from kernel.errors import Kind, Refusal


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[bool]:
    return []


@pytest.fixture
def breaker(clock: Clock, changes: list[bool]) -> Breaker:
    return Breaker(clock, changes.append, failures=3, probe_every_s=2.0)


def opened(breaker: Breaker) -> Breaker:
    for _ in range(3):
        assert breaker.refusal_s() is None
        breaker.unanswered()
    return breaker


def test_it_opens_after_failures_in_a_row_only(breaker: Breaker, changes: list[bool]) -> None:
    for _ in range(10):
        breaker.unanswered()
        breaker.unanswered()
        breaker.answered()
    assert (breaker.refusal_s(), changes) == (None, [])
    opened(breaker)
    assert breaker.refusal_s() == 2.0
    breaker.unanswered()  # of a call that was under way
    assert changes == [True]


def test_one_probe_an_interval_goes_through_and_an_answer_closes_it(
    breaker: Breaker, clock: Clock, changes: list[bool]
) -> None:
    opened(breaker)
    clock.now += 0.5
    assert breaker.refusal_s() == 1.5
    clock.now += 1.5
    assert [breaker.refusal_s() for _ in range(3)] == [None, 2.0, 2.0]
    breaker.unanswered()
    assert breaker.refusal_s() == 2.0
    clock.now += 2
    assert breaker.refusal_s() is None
    breaker.answered()
    assert [breaker.refusal_s() for _ in range(3)] == [None] * 3
    assert changes == [True, False]
    opened(breaker)
    assert changes == [True, False, True]


def test_a_probe_that_never_comes_back_is_followed_by_another(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    for _ in range(5):
        clock.now += 2
        assert breaker.refusal_s() is None


def test_threads_share_it(breaker: Breaker, clock: Clock, changes: list[bool]) -> None:
    start = threading.Barrier(16)

    def fail(_: int) -> None:
        start.wait()
        breaker.unanswered()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(fail, range(16)))
    assert changes == [True]
    clock.now += 2
    with ThreadPoolExecutor(16) as pool:
        let_through = [found for found in pool.map(lambda _: breaker.refusal_s(), range(200)) if found is None]
    assert len(let_through) == 1


@pytest.fixture
def clocked(amqp_uri: str, clock: Clock) -> Iterator[RpcClient]:
    """A client whose breakers go by the clock of the test."""
    client = RpcClient(amqp_uri, "tests", clock)
    yield client
    client.stop()


def test_calls_to_a_service_that_nobody_is_fail_at_once_with_when_to_try_again(
    clocked: RpcClient, clock: Clock
) -> None:
    def ask() -> Refusal:
        with pytest.raises(Refusal) as refused:
            clocked.call("nobody", "there", timeout_s=20)
        assert (refused.value.kind, refused.value.code) == (Kind.UNAVAILABLE, "unavailable")
        return refused.value

    for _ in range(FAILURES):
        assert ask().extra == {}
    assert ask().extra == {"retry_after_s": 2}
    assert clocked.circuits() == {"nobody": True}
    clock.now += PROBE_EVERY_S
    assert ask().extra == {}, "one call went through"
    assert ask().extra == {"retry_after_s": 2}


def test_a_dead_service_that_comes_back_is_called_again(echo: Echo, clocked: RpcClient, clock: Clock) -> None:
    def ask(text: str, timeout_s: float) -> bool:
        try:
            clocked.call("echo", "note", {"text": text}, timeout_s=timeout_s)
        except Refusal:
            return False
        return True

    assert ask("before", 20)
    assert echo.process is not None
    echo.process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(FAILURES) as pool:
        assert not any(pool.map(lambda _: ask("expired", 1.0), range(FAILURES)))
    assert clocked.circuits() == {"echo": True}
    began = time.monotonic()
    assert not any(ask("never sent", 60) for _ in range(100))
    assert time.monotonic() - began < 60, "one of them waited"
    with pytest.raises(Refusal, match="unavailable"):
        clocked.call("health", "echo", timeout_s=1)  # whether it is well is asked all the same
    echo.process.send_signal(signal.SIGCONT)
    assert not ask("never sent", 60)
    clock.now += PROBE_EVERY_S
    assert ask("the probe", 60)
    assert ask("after", 60)
    assert clocked.circuits() == {"echo": False}
    assert echo.effects() == ["before", "the probe", "after"]


def test_a_call_with_next_to_no_time_left_says_nothing_of_the_service(echo: Echo, client: RpcClient) -> None:
    assert client.call("echo", "echo", {"text": "up"}, timeout_s=20) == {"text": "up"}
    for _ in range(2 * FAILURES):
        with pytest.raises(Refusal):
            client.call("echo", "note_slowly", {"text": "x"}, timeout_s=0.01)
    assert client.circuits() == {"echo": False}
