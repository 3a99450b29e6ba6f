"""The same echo on stock nameko, run as ``nameko run`` does it. No class of the chassis is involved."""

from __future__ import annotations

import warnings

warnings.simplefilter("ignore")  # eventlet advises to leave eventlet

import eventlet  # noqa: E402

eventlet.monkey_patch()  # as `nameko run` does before anything else

from nameko.rpc import rpc  # noqa: E402
from nameko.runners import ServiceRunner  # noqa: E402

from benchmarks.rpc import driver  # noqa: E402


class StockEcho:
    """Answers what it was asked."""

    name = "stock_echo"

    @rpc
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
