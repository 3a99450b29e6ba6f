"""Calls the echo service as one service calls another: RpcClient, from greenlets of a process patched by eventlet."""

from __future__ import annotations

import chassis.runner  # noqa: F401  # first: it patches the standard library, as in every service

# isort: split
import eventlet
from marshmallow import fields

from benchmarks.rpc import driver
from chassis.messages import RequestSchema
from chassis.rpc import RpcClient


class Text(RequestSchema):
    """What is read of the answer."""

    text = fields.String(required=True)


def main() -> None:
    """Measure and report."""
    client = RpcClient(driver.uri(), "benchmark")
    reply = Text()

    def call(text: str) -> str:
        answer = client.call("echo", "echo", {"text": text}, reply=reply, timeout_s=30)
        return str(answer["text"])

    def callers(count: int, each: int) -> None:
        for caller in [eventlet.spawn(driver.calls, call, each) for _ in range(count)]:
            caller.wait()

    driver.report((1, callers), (50, callers))
    client.stop()


if __name__ == "__main__":
    main()
