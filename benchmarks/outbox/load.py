"""What both variants work with."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

#: What an event carries besides its number.
WHAT = "support credit card " * 8
#: Between two events while the system is idle but for them, in milliseconds.
PAUSE_MS = 25
TIMEOUT_S = 100.0


def uri() -> str:
    """The broker's; it holds a password, so it comes by the environment."""
    return os.environ["AMQP_URI"]


def count() -> int:
    """How many events, from the command line."""
    return int(sys.argv[1])


def report(result: Any) -> None:
    """Print what was measured, as JSON."""
    print(json.dumps(result), flush=True)
