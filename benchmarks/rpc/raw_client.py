"""Calls the raw echo by direct reply-to, with as many requests outstanding as there would be callers."""

from __future__ import annotations

from typing import Any

import amqp

from benchmarks.rpc import driver, raw

REPLY_TO = "amq.rabbitmq.reply-to"


def main() -> None:
    """Measure and report."""
    connection, channel = raw.connect(driver.uri())
    waiting: set[str] = set()

    def answered(reply: Any) -> None:
        waiting.remove(reply.properties["correlation_id"])
        driver.check(reply.body)

    def callers(count: int, each: int) -> None:
        for number in range(count * each):
            while len(waiting) == count:
                connection.drain_events()
            request = amqp.Message(
                driver.PAYLOAD, correlation_id=str(number), reply_to=REPLY_TO, delivery_mode=raw.TRANSIENT
            )
            waiting.add(str(number))
            channel.basic_publish(request, routing_key=raw.QUEUE)
        while waiting:
            connection.drain_events()

    channel.basic_consume(REPLY_TO, no_ack=True, callback=answered)
    driver.report((1, callers), (50, callers))
    connection.close()


if __name__ == "__main__":
    main()
