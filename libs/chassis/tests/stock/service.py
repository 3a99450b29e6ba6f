"""The counterpart of the echo service on stock nameko; no class of the chassis is involved.

Effects are lines of a file, so that they outlive the process. What is slow waits for another file, the gate.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any

import eventlet
from nameko.contextdata import UserId
from nameko.events import EventDispatcher, event_handler
from nameko.rpc import rpc
from nameko.web.handlers import http

FOLDER = os.environ["STOCK_FOLDER"]


class _Stock:
    name = "stock"
    dispatch = EventDispatcher()
    user_id = UserId()

    @rpc
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @rpc
    def note(self, text: str) -> None:
        _effect(text)

    @rpc
    def say(self, text: str) -> None:
        self.dispatch("said", {"text": text})

    @rpc
    def whoami(self) -> str | None:
        return self.user_id

    @rpc
    def crash(self, text: str) -> None:
        raise ValueError(f"a secret: {text}")

    @rpc
    def write_and_yield(self) -> str:
        """A transaction that gives way to other greenlets while it has SQLite's lock."""
        connection = sqlite3.connect(os.path.join(FOLDER, "stock.db"), timeout=0.5, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            eventlet.sleep(0.1)
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            return str(error)
        finally:
            connection.close()
        return "written"

    @http("GET", "/health")
    def health(self, request: Any) -> str:
        return "well"

    @http("GET", "/crash")
    def crash_over_http(self, request: Any) -> str:
        raise ValueError("a secret: opensesame")

    @event_handler("stock", "poked", requeue_on_error=True)
    def on_poked(self, data: dict[str, str]) -> None:
        _effect("poked")
        raise RuntimeError("not yet")


def _handle(data: dict[str, str]) -> None:
    text = data["text"]
    if text == "always fails":
        _effect("attempt")
        raise RuntimeError("not yet")
    if text == "slow":
        _effect("began slow")
        while not os.path.exists(os.path.join(FOLDER, "gate")):
            eventlet.sleep(0.05)
    _effect(f"handled {text}")


class StockService(_Stock):
    @event_handler("stock", "said")
    def on_said(self, data: dict[str, str]) -> None:
        _handle(data)


class RenamedService(_Stock):
    """The next version: somebody found a better name for the handler."""

    @event_handler("stock", "said")
    def when_said(self, data: dict[str, str]) -> None:
        _handle(data)


class ListeningService(_Stock):
    """Hears what a service of ours has to say."""

    @event_handler("echo", "said.v1")
    def on_echo_said(self, data: dict[str, Any]) -> None:
        _effect(f"heard {data['type']}: {data['data']['text']}")


def _effect(what: str) -> None:
    with open(os.path.join(FOLDER, "effects"), "a") as effects:
        effects.write(what + "\n")
