"""Reading the environment: every service's `settings.py` is the only place that does."""

from __future__ import annotations

import os
from collections.abc import Mapping


class SettingsError(Exception):
    """What is wrong with the environment, all of it at once, each with what to do."""


class Environment:
    """Typed reads that collect every problem before complaining.

    Args:
        values: the variables; the process's own unless told.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A variable as text; missing without a default is a problem."""
        value = self._values.get(name) or default
        if value is None:
            self._problems.append(f"{name} is not set")
            return ""
        return value

    def optional(self, name: str) -> str:
        """A variable as text; empty where it is missing."""
        return self._values.get(name, "")

    def integer(self, name: str, default: int, minimum: int = 1) -> int:
        """A variable as a whole number of at least `minimum`."""
        value = self._values.get(name) or str(default)
        if not value.lstrip("-").isdigit() or int(value) < minimum:
            self._problems.append(f"{name} is {value!r}, not a whole number of at least {minimum}")
            return default
        return int(value)

    def key(self, name: str) -> str:
        """A 32-byte key as 64 hexadecimal digits. A default or well-known one does not exist."""
        value = self.text(name)
        if value and (len(value) != 64 or any(c not in "0123456789abcdef" for c in value.lower())):
            self._problems.append(f"{name} is not 64 hexadecimal digits; `punchcard keys` makes a set")
        elif value and len(set(value)) < 8:
            self._problems.append(f"{name} is not random; `punchcard keys` makes a set")
        return value

    def check(self) -> None:
        """Complain if anything was wrong.

        Raises:
            SettingsError: naming every problem.
        """
        if self._problems:
            raise SettingsError("; ".join(self._problems))
