"""Writes that come close together leave together, and none is lost or mixed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chassis.messaging.socket_tuning import CoalescedWrites


class Socket:
    """Keeps each system call's bytes."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.fails = False

    def send_all(self, data: bytes | memoryview) -> None:
        if self.fails:
            raise OSError("broken")
        self.calls.append(bytes(data))


class Loop:
    """An event loop whose next turn comes when the test says so."""

    def __init__(self) -> None:
        self.next_turn: list[Callable[[], None]] = []

    def spawn(self, call: Callable[[], None]) -> None:
        self.next_turn.append(call)

    def turn(self) -> None:
        calls, self.next_turn = self.next_turn, []
        for call in calls:
            call()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("chassis.messaging.socket_tuning.time.monotonic", lambda: now[0])
    return now


def test_a_lone_write_leaves_at_once(clock: list[float]) -> None:
    socket, loop = Socket(), Loop()
    writes = CoalescedWrites(socket.send_all, loop.spawn)
    writes.write(b"one")
    clock[0] += 1
    writes.write(memoryview(b"two"))
    assert socket.calls == [b"one", b"two"]
    assert loop.next_turn == []


def test_writes_close_together_leave_in_one_call_and_in_order(clock: list[float]) -> None:
    socket, loop = Socket(), Loop()
    writes = CoalescedWrites(socket.send_all, loop.spawn)
    for word in (b"a", b"b", b"c", b"d"):
        writes.write(word)
    assert socket.calls == [b"a"]
    loop.turn()
    assert socket.calls == [b"a", b"bcd"]
    clock[0] += 1
    writes.write(b"e")
    assert b"".join(socket.calls) == b"abcde"


def test_what_is_written_together_is_one_call(clock: list[float]) -> None:
    socket, loop = Socket(), Loop()
    writes = CoalescedWrites(socket.send_all, loop.spawn)
    with writes.together():
        writes.write(b"reply")
        writes.write(b"ack")
    assert socket.calls == [b"replyack"]


def test_the_callers_buffer_may_be_used_again_at_once(clock: list[float]) -> None:
    socket, loop = Socket(), Loop()
    writes = CoalescedWrites(socket.send_all, loop.spawn)
    buffer = bytearray(b"first")
    writes.write(b"x")
    writes.write(memoryview(buffer))
    buffer[:] = b"other"
    loop.turn()
    assert b"".join(socket.calls) == b"xfirst"


def test_a_broken_socket_is_told_to_the_next_writer(clock: list[float]) -> None:
    socket, loop = Socket(), Loop()
    writes = CoalescedWrites(socket.send_all, loop.spawn)
    writes.write(b"a")
    writes.write(b"b")
    socket.fails = True
    loop.turn()
    with pytest.raises(OSError, match="broken"):
        writes.write(b"c")
