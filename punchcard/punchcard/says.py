"""Talking to the person at the terminal."""

from __future__ import annotations

import sys


class CannotStart(Exception):
    """Why the store does not start, and what to do."""


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
