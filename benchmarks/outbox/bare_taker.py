"""Commits an inbox row and a row for each event, acknowledges it; then the next one."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from benchmarks.outbox import bare

_INBOX = "INSERT INTO inbox (consumer, event_id, handled_at) VALUES ('bare', %s, %s) ON CONFLICT DO NOTHING"
_TAKEN = "INSERT INTO taken (number, what) VALUES (%s, %s)"


def main() -> None:
    """Serve until the process is ended."""
    connection, channel = bare.broker()
    database = bare.database("taker")
    cursor = database.cursor()

    def take(arrived: Any) -> None:
        event = json.loads(arrived.body)
        cursor.execute(_INBOX, (event["id"], datetime.now(UTC)))
        if cursor.rowcount:
            cursor.execute(_TAKEN, (event["number"], event["what"]))
        database.commit()
        channel.basic_ack(arrived.delivery_info["delivery_tag"])
        if event["last"]:
            channel.basic_publish(bare.message(repr(time.monotonic())), routing_key=bare.DONE)

    channel.basic_qos(0, bare.PREFETCH, False)
    channel.basic_consume(bare.QUEUE, callback=take)
    print("ready", flush=True)
    while True:
        connection.drain_events()


if __name__ == "__main__":
    main()
