"""Writes of one turn leave together, none is lost or mixed, and a reader is woken or told that it waited in vain.

Under eventlet in a process of its own: eventlet must not be in this one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from chassis.messaging.socket_io import ThreadIO


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(20)
        yield ours, theirs


def read(sock: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        found += sock.recv(65536)
    return bytes(found)


def test_threads_do_not_mix_their_writes(pair: tuple[socket.socket, socket.socket]) -> None:
    io = ThreadIO(pair[0])
    words = [bytes([65 + number]) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=io.write, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    found = read(pair[1], sum(map(len, words)))
    for thread in threads:
        thread.join()
    assert sorted(found[start : start + 50_000] for start in range(0, len(found), 50_000)) == words


def test_a_thread_reads_what_is_there_and_waits_no_longer_than_told(pair: tuple[socket.socket, socket.socket]) -> None:
    io = ThreadIO(pair[0])
    with pytest.raises(TimeoutError):
        io.receive(0.01)
    pair[1].sendall(b"hello")
    assert io.receive(20) == b"hello"
    pair[1].close()
    with pytest.raises(OSError, match="closed"):
        io.receive(20)


def test_after_a_broken_write_nobody_writes_the_rest(pair: tuple[socket.socket, socket.socket]) -> None:
    io = ThreadIO(pair[0])
    pair[0].settimeout(0.01)  # the broker does not read: a part of it leaves
    with pytest.raises(TimeoutError):
        io.write(b"x" * 10_000_000)
    with pytest.raises(OSError, match="timed out"):
        io.write(b"what would be taken for the rest")
    with pytest.raises(OSError, match="closed"):
        io.receive(20)


def green(body: str) -> None:
    """Run a test body under eventlet, with a pair of sockets and an io on the first."""
    prelude = """
import eventlet
eventlet.monkey_patch()
import socket
from chassis.messaging.socket_io import GreenIO, socket_io
ours, theirs = socket.socketpair()
io = socket_io(ours)
assert isinstance(io, GreenIO)
sends = []
class Raw:
    def __init__(self, raw):
        self.raw = raw
        self.fails = False
    def send(self, data):
        if self.fails:
            raise OSError("broken")
        sends.append(bytes(data))
        return self.raw.send(data)
    def __getattr__(self, name):
        return getattr(self.raw, name)
io._raw = Raw(io._raw)
"""
    done = subprocess.run(
        [sys.executable, "-c", prelude + body + "\nprint('done')"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("done\n"), done.stderr


def test_writes_of_one_turn_leave_in_one_call_and_in_order() -> None:
    green("""
def write(word):
    io.write(word)
for word in (b"a", b"b", memoryview(b"c")):
    eventlet.spawn(write, word)
assert sends == []
assert theirs.recv(100) == b"abc"
assert sends == [b"abc"]
""")


def test_a_lone_write_leaves_at_once_and_what_follows_it_together() -> None:
    green("""
io.write(b"a")
assert sends == [b"a"]
io._last_write -= 1
io.write(b"b")
assert sends == [b"a", b"b"]
for word in (b"c", b"d", b"e"):
    io.write(word)
assert len(sends) == 2, "a batch is sent in one go"
assert theirs.recv(100) == b"ab"
assert theirs.recv(100) == b"cde"
""")


def test_the_callers_buffer_may_be_used_again_at_once() -> None:
    green("""
buffer = bytearray(b"first")
io.write(memoryview(buffer))
buffer[:] = b"other"
assert theirs.recv(100) == b"first"
""")


def test_what_the_socket_does_not_take_follows_and_nothing_overtakes_it() -> None:
    green("""
import threading
words = [bytes([65 + number]) * 200_000 for number in range(20)]
def write():
    for word in words:
        io.write(word)
writer = threading.Thread(target=write)
writer.start()
found = bytearray()
while len(found) < 4_000_000:
    found += theirs.recv(65536)
writer.join()
assert bytes(found) == b"".join(words)
""")


def test_a_broken_socket_is_told_to_the_next_writer() -> None:
    green("""
io._raw.fails = True
io.write(b"a")
eventlet.sleep(0)
try:
    io.write(b"b")
except OSError as error:
    assert str(error) == "broken"
else:
    raise AssertionError("it was taken")
""")


def test_a_reader_is_woken_and_stays_registered_between_reads() -> None:
    green("""
def later(data):
    eventlet.sleep(0.05)
    theirs.sendall(data)
for word in (b"one", b"two"):
    eventlet.spawn(later, word)
    assert io.receive(20) == word
    assert io._listener is not None
for _ in range(2):
    try:
        io.receive(0.01)
    except TimeoutError:
        pass
    else:
        raise AssertionError("it read something")
theirs.sendall(b"while nobody reads")
eventlet.sleep(0.1)
assert io._listener is None, "the loop would spin"
assert io.receive(20) == b"while nobody reads"
io.pause()
assert io._listener is None
eventlet.spawn(later, b"to another reader")
assert ours.recv(100) == b"to another reader"
theirs.close()
try:
    io.receive(20)
except OSError as error:
    assert "closed" in str(error)
""")


def test_a_short_wait_after_a_long_one_is_short() -> None:
    green("""
import time
def waits(seconds):
    began = time.monotonic()
    try:
        io.receive(seconds)
    except TimeoutError:
        pass
    return time.monotonic() - began
eventlet.spawn_after(0.05, theirs.sendall, b"soon")
assert waits(50) < 40, "it was there soon"
for _ in range(3):
    assert waits(0.01) < 40, "the timer of the long wait"
    io.pause()
assert waits(0.3) >= 0.3
""")
