"""Talking to the person at the terminal."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
