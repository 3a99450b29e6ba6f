"""Calls the stock echo: one caller by ServiceRpcProxy, 50 as the workers of a stock service with an RpcProxy."""

# ruff: noqa: E402  # the patch must come before anything that opens a socket
from __future__ import annotations

import eventlet

eventlet.monkey_patch()  # as in every nameko service

from functools import partial
from typing import Any

from eventlet.event import Event
from nameko.containers import ServiceContainer
from nameko.extensions import Entrypoint
from nameko.rpc import RpcProxy
from nameko.standalone.rpc import ServiceRpcProxy

from benchmarks.rpc import driver

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
