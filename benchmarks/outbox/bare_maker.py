"""Commits a row and an outbox row, publishes the event and waits for its confirm; then the next one."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from benchmarks.outbox import bare, load
from kernel.ids import new_id

_MADE = "INSERT INTO made (number, what) VALUES (%s, %s)"
_OUTBOX = (
    "INSERT INTO outbox (id, type, body, correlation_id, must_route, created_at, sent_at) "
    "VALUES (%s, 'maker.was_made.v1', %s, %s, true, %s, %s)"
)


def main() -> None:
    """Measure and report."""
    connection, channel = bare.broker()
    channel.confirm_select()
    database = bare.database("maker")
    finished: list[Any] = []
    channel.basic_consume(bare.DONE, no_ack=True, callback=finished.append)
    count = load.count()
    cursor = database.cursor()
    cursor.execute("SELECT coalesce(max(number), 0) + 1 FROM made")
    (first,) = cursor.fetchone()
    database.commit()
    began = time.monotonic()
    for number in range(first, first + count):
        now = datetime.now(UTC)
        event = {"id": new_id("evt"), "number": number, "what": load.WHAT, "last": number == first + count - 1}
        body = json.dumps(event)
        cursor.execute(_MADE, (number, load.WHAT))
        cursor.execute(_OUTBOX, (event["id"], body, "cor_bare", now, now))
        database.commit()
        channel.basic_publish_confirm(bare.message(body), routing_key=bare.QUEUE, mandatory=True)
    while not finished:
        connection.drain_events(timeout=load.TIMEOUT_S)
    load.report({"seconds": float(finished[0].body) - began})
    connection.close()


if __name__ == "__main__":
    main()
