"""The same echo on stock nameko, run as ``nameko run`` does it. No class of the chassis is involved."""

# ruff: noqa: E402  # the patch must come before anything that opens a socket
from __future__ import annotations

import eventlet

eventlet.monkey_patch()  # as `nameko run` does before anything else

from nameko.rpc import rpc
from nameko.runners import ServiceRunner

from benchmarks.rpc import driver


class StockEcho:
    """Answers what it was asked."""

    name = "stock_echo"

    @rpc  # type: ignore[untyped-decorator]  # nameko has no types
    def echo(self, text: str) -> dict[str, str]:
        """The request."""
        return {"text": text}


if __name__ == "__main__":
    # as many workers as there are callers: the server is not to wait for a free one
    runner = ServiceRunner({"AMQP_URI": driver.uri(), "max_workers": 50})
    runner.add_service(StockEcho)
    runner.start()
    print("ready", flush=True)
    runner.wait()
