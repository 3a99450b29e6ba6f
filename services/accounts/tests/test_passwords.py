"""Hashing leaves the event loop free."""

import subprocess
import sys

from argon2 import Type, extract_parameters

from accounts.passwords import Passwords

# The function blocks its thread until a greenlet lets it go: were it run in the loop's own thread, nothing ever would.
_COOPERATES = """
import eventlet
eventlet.monkey_patch()
from eventlet.patcher import original
from accounts.passwords import in_real_thread

native = original("threading")
let_go = native.Event()
eventlet.spawn(let_go.set)
assert in_real_thread(let_go.wait, 60), "the loop stood still"
print("free")
"""

_SIGNS_IN = """
import eventlet
eventlet.monkey_patch()
from accounts.passwords import Passwords

passwords = Passwords(memory_kib=8, passes=1, lanes=1, at_once=2)
hashed = passwords.hash("secret")
pool = eventlet.GreenPool()
answers = list(pool.imap(lambda typed: passwords.matches(hashed, typed), ["secret", "wrong"] * 10))
assert answers == [True, False] * 10, answers
print("right")
"""


def _run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()


def test_the_loop_goes_on_while_a_hash_is_computed() -> None:
    assert _run(_COOPERATES) == "free"


def test_passwords_are_checked_under_eventlet_with_fewer_slots_than_workers() -> None:
    assert _run(_SIGNS_IN) == "right"


def test_hashes_are_argon2id_with_the_set_parameters_and_a_salt_each() -> None:
    passwords = Passwords(memory_kib=16, passes=2, lanes=1, at_once=1)
    one, other = passwords.hash("secret"), passwords.hash("secret")
    assert one != other
    found = extract_parameters(one)
    assert (found.type, found.memory_cost, found.time_cost, found.parallelism) == (Type.ID, 16, 2, 1)
    assert passwords.matches(one, "secret")
    assert not passwords.matches(one, "Secret")
    assert not passwords.matches("no hash", "secret")
