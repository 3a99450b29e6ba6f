"""Real threads, for what computes long or calls a library that eventlet cannot patch."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from eventlet import tpool
from eventlet.patcher import is_monkey_patched

_P = ParamSpec("_P")
_R = TypeVar("_R")


def in_real_thread(function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call a function that computes for long, without a pause for the other workers of this process.

    Under eventlet it runs in a thread of the operating system while the greenlets go on (if it lets go of the
    interpreter's lock); without eventlet the caller has a thread of its own already.
    """
    if is_monkey_patched("thread"):
        result: _R = tpool.execute(function, *args, **kwargs)
        return result
    return function(*args, **kwargs)
