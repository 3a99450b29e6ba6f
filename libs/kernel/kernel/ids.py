"""Ids: opaque strings with a prefix that says what they are, sorted by the time they were made."""

from __future__ import annotations

import secrets
import time

from kernel import base32

_RANDOM_BITS = 80


def new_id(prefix: str) -> str:
    """Make an id such as ``ord_01HF...``: 48 bits of milliseconds, then 80 random bits (the layout of a ULID).

    Ids made later sort later, which keeps B-tree inserts at the right edge. They are not secrets.
    """
    milliseconds = time.time_ns() // 1_000_000
    return f"{prefix}_{base32.encode(milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS), 26)}"
