"""A caller goes on when its answer is there, or when its time is over; not twice, and not when it waits elsewhere."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from chassis.rpc.waiting import Gates, ThreadGate


def test_a_thread_goes_on_when_the_gate_opens_or_its_time_is_over() -> None:
    gate = Gates().new()
    assert isinstance(gate, ThreadGate)
    assert not gate.wait(time.monotonic() + 0.01)
    threading.Timer(0.05, gate.open).start()
    assert gate.wait(time.monotonic() + 20)


def green(body: str) -> None:
    prelude = """
import eventlet
eventlet.monkey_patch()
import time
from chassis.rpc.waiting import Gates, GreenGate
gates = Gates()
def wait(seconds):
    return gate.wait(time.monotonic() + seconds)
gate = gates.new()
assert isinstance(gate, GreenGate)
"""
    done = subprocess.run(
        [sys.executable, "-c", prelude + body + "\nprint('done')"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("done\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_a_greenlet_goes_on_when_the_gate_opens() -> None:
    green("""
eventlet.spawn_after(0.05, gate.open)
assert wait(20) is True
gate = gates.new()
gate.open()
gate.open()
assert wait(20) is True, "it was open already"
""")


def test_each_greenlet_waits_for_its_own_time() -> None:
    green("""
order = []
def waits(name, gate, seconds):
    order.append((name, gate.wait(time.monotonic() + seconds)))
answered = gates.new()
threads = [
    eventlet.spawn(waits, "long", gates.new(), 0.5),
    eventlet.spawn(waits, "answered", answered, 0.4),
    eventlet.spawn(waits, "short", gates.new(), 0.1),
    eventlet.spawn(waits, "over", gates.new(), -1),
]
eventlet.spawn_after(0.25, answered.open)
for thread in threads:
    thread.wait()
assert order == [("over", False), ("short", False), ("answered", True), ("long", False)], order
assert not gates._green._waiting
""")


def test_who_has_left_is_not_woken_elsewhere() -> None:
    green("""
woken = []
def waits():
    try:
        with eventlet.Timeout(0.05):
            gate.wait(time.monotonic() + 0.2)
    except eventlet.Timeout:
        gate.open()
        woken.append(eventlet.sleep(0.5))
began = time.monotonic()
eventlet.spawn(waits).wait()
assert time.monotonic() - began >= 0.5, "the sleep was cut short"
def killed():
    gates.new().wait(time.monotonic() + 0.1)
thread = eventlet.spawn(killed)
eventlet.sleep(0)
thread.kill()
eventlet.sleep(0.2)
""")
