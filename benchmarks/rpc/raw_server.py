"""The same echo with py-amqp alone: sends back the body it got, unread."""

from __future__ import annotations

from typing import Any

import amqp

from benchmarks.rpc import driver, raw


def main() -> None:
    """Serve until the process is ended."""
    connection, channel = raw.connect(driver.uri())
    channel.queue_declare(raw.QUEUE, durable=False, auto_delete=False, exclusive=True)

    def answer(request: Any) -> None:
        reply = amqp.Message(
            request.body, correlation_id=request.properties["correlation_id"], delivery_mode=raw.TRANSIENT
        )
        channel.basic_publish(reply, routing_key=request.properties["reply_to"])

    channel.basic_consume(raw.QUEUE, no_ack=True, callback=answer)
    print("ready", flush=True)
    while True:
        connection.drain_events()


if __name__ == "__main__":
    main()
