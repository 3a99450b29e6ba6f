"""Ids: opaque strings with a prefix that says what they are, sorted by the time they were made."""

from __future__ import annotations

import secrets
import threading
import time

from kernel import base32

_RANDOM_BITS = 80
#: How far an id made in the same millisecond is above the one before, at most.
_LEAP_BITS = 64

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Make an id such as ``ord_01HF...``: 48 bits of milliseconds, then 80 random bits (the layout of a ULID).

    Within a process ids made later sort later, even in one millisecond and when the clock is set back: lists that are
    read in the order of their ids are in the order in which things happened. Between processes this holds to the
    millisecond, which keeps B-tree inserts at the right edge. They are not secrets.
    """
    global _last  # the order of ids is the process's
    made = time.time_ns() // 1_000_000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        if made >> _RANDOM_BITS <= _last >> _RANDOM_BITS:
            # a leap, not a step: processes forked from one another must not make the same
            made = _last + 1 + secrets.randbits(_LEAP_BITS)
        _last = made
    return f"{prefix}_{base32.encode(made, 26)}"
