"""Scenarios that need a process whose standard library eventlet has patched, as every service's is.

``python -m stock.green SCENARIO ARGUMENT...`` prints what happened as one line of JSON.
"""

# the patch must come before anything that opens a socket or takes a lock
from __future__ import annotations

import sys

if sys.argv[1] == "overlap_unpatched":
    import eventlet

    eventlet.monkey_patch(psycopg=False)
else:
    import chassis.runner  # noqa: F401  # patches as our services do

import json
from typing import Any

import eventlet
import sqlalchemy as sa

from chassis.persistence import Database


def overlap(url: str, lock: str, queries: str) -> int:
    """Have greenlets wait for a lock of PostgreSQL at the same time; how many waited at once."""
    database = Database(url)
    waiting = peak = 0

    def wait() -> None:
        nonlocal waiting, peak
        with database.reading() as reader:
            waiting += 1
            peak = max(peak, waiting)
            reader.execute(sa.text(f"SELECT pg_advisory_lock_shared({int(lock)})"))
            waiting -= 1

    pool = eventlet.GreenPool()
    for _ in range(int(queries)):
        pool.spawn(wait)
    pool.waitall()
    return peak


def writers(url: str, count: str) -> list[str]:
    """Have greenlets write at the same time, each giving way to the others in mid-transaction."""
    database = Database(url)
    with database.transaction() as transaction:
        transaction.execute(sa.text("CREATE TABLE item (id INTEGER PRIMARY KEY)"))

    def write(number: int) -> str:
        try:
            with database.transaction() as transaction:
                transaction.execute(sa.text(f"INSERT INTO item VALUES ({number})"))
                eventlet.sleep(0.1)
        except Exception as error:
            return str(error)
        return "written"

    return list(eventlet.GreenPool().imap(write, range(int(count))))


SCENARIOS: dict[str, Any] = {"overlap": overlap, "overlap_unpatched": overlap, "writers": writers}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(SCENARIOS[sys.argv[1]](*sys.argv[2:])) + "\n")
