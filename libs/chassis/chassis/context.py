"""What belongs to the request at hand: its correlation id, who asks, and how long the answer is wanted.

Context variables are per greenlet and per thread, so a worker never sees another one's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request at hand.

    Args:
        correlation_id: the same from the HTTP request to the mail.
        identity_token: who asks, as signed by accounts (see `chassis.identity`); None for nobody.
        deadline: `time.monotonic()` seconds of this process after which nobody waits for the answer; None for never.
    """

    correlation_id: str
    identity_token: str | None = None
    deadline: float | None = None

    def seconds_left(self) -> float | None:
        """How long the caller still waits, in seconds (may be negative); None for ever."""
        return None if self.deadline is None else self.deadline - time.monotonic()


#: Set while a transaction is open: the RPC client refuses to call then, since no call may wait while rows are locked.
transaction_open: ContextVar[bool] = ContextVar("transaction_open", default=False)

_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def current() -> RequestContext | None:
    """The context of the request at hand, or None outside of one."""
    return _current.get()


def correlation_id() -> str:
    """The correlation id of the request at hand; a new one outside of a request."""
    context = _current.get()
    return context.correlation_id if context else new_id("cor")


def enter(context: RequestContext | None) -> None:
    """Make `context` the one at hand for the rest of this greenlet or thread; None for no request at all."""
    _current.set(context)


@contextmanager
def entered(context: RequestContext) -> Iterator[RequestContext]:
    """`context` is the one at hand inside the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
