"""Calls the stock echo: one caller by ServiceRpcProxy, 50 as the workers of a stock service with an RpcProxy."""

from __future__ import annotations

import warnings

warnings.simplefilter("ignore")  # eventlet advises to leave eventlet

import eventlet  # noqa: E402

eventlet.monkey_patch()  # as in every nameko service

from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

from eventlet.event import Event  # noqa: E402
from nameko.containers import ServiceContainer  # noqa: E402
from nameko.extensions import Entrypoint  # noqa: E402
from nameko.rpc import RpcProxy  # noqa: E402
from nameko.standalone.rpc import ServiceRpcProxy  # noqa: E402

from benchmarks.rpc import driver  # noqa: E402

CALLERS = 50


class Start(Entrypoint):  # type: ignore[misc]  # nameko has no types
    """An entrypoint that is set off by hand."""


class Caller:
    """A service of which each worker is one caller."""

    name = "stock_caller"
    proxy = RpcProxy("stock_echo")

    @Start.decorator  # type: ignore[untyped-decorator]  # nameko has no types
    def work(self, count: int) -> None:
        """Make `count` calls."""
        calls(self.proxy, count)


def calls(proxy: Any, count: int) -> None:
    """What one caller does."""
    driver.calls(lambda text: str(proxy.echo(text=text)["text"]), count)


def ended(event: Event, _worker: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
    """nameko tells that a worker has ended."""
    event.send(exc_info)
    return result, exc_info


def main() -> None:
    """Measure and report."""
    config = {"AMQP_URI": driver.uri(), "max_workers": CALLERS}
    container = ServiceContainer(Caller, config)
    container.start()
    (entrypoint,) = container.entrypoints

    def workers(count: int, each: int) -> None:
        events = [Event() for _ in range(count)]
        for event in events:
            container.spawn_worker(entrypoint, (each,), {}, handle_result=partial(ended, event))
        for event in events:
            failed = event.wait()
            if failed:
                raise failed[1]

    with ServiceRpcProxy("stock_echo", config) as single:
        driver.report((1, lambda _count, each: calls(single, each)), (CALLERS, workers))
    container.stop()


if __name__ == "__main__":
    main()
