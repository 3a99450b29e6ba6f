"""eventlet, for what also runs without it: the gateway has real threads and must not even import it."""

from __future__ import annotations

import sys
from typing import Any


def green_hub() -> Any:
    """The event loop of this thread if the process runs on eventlet; None where threads are real."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is None or not patcher.is_monkey_patched("thread"):
        return None
    return sys.modules["eventlet.hubs"].get_hub()


def current_greenlet() -> Any:
    """The greenlet at hand; only where there are some."""
    return sys.modules["greenlet"].getcurrent()
