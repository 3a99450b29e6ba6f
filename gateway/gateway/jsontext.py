"""JSON as text: read strictly, written briefly."""

from __future__ import annotations

import json
from typing import Any

_write = json.JSONEncoder(separators=(",", ":")).encode


class MalformedBody(ValueError):  # it says what the body is
    """The body is not JSON as RFC 8259 has it."""


def parse_json(raw: bytes) -> Any:
    """Read JSON strictly.

    Raises:
        MalformedBody: not UTF-8, not JSON, NaN or Infinity, nested too deep, or a number without end.
    """
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedBody from error


def write_json(value: Any) -> str:
    """Write JSON without a blank too many."""
    return _write(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
