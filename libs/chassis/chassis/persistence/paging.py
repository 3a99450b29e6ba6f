"""Lists: newest first, a page at a time, with a cursor that stays right while rows are added."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chassis.persistence.database import Reader
from chassis.persistence.statements import Row
from kernel.errors import invalid


def page(
    reader: Reader,
    select: sa.Select[Any],
    id_column: sa.ColumnElement[Any],
    limit: int,
    cursor: str | None,
    *,
    newest_first: bool = True,
) -> tuple[Sequence[Row], str | None]:
    """One page of a list.

    Args:
        reader: where to ask.
        select: the list without order or limit; it must select `id_column` under its own name.
        id_column: a unique column by which the list is sorted (ids sort by the time they were made).
        limit: rows at most.
        cursor: what the page before gave as `next`; None for the first.
        newest_first: whether to sort downwards.

    Returns:
        The rows, and the cursor of the next page or None.

    Raises:
        Refusal: `invalid_cursor`.
    """
    if cursor is not None:
        last = decode_cursor(cursor)
        select = select.where(id_column < last if newest_first else id_column > last)
    rows = reader.all(select.order_by(id_column.desc() if newest_first else id_column).limit(limit + 1))
    if len(rows) <= limit:
        return rows, None
    name = id_column.key or ""
    return rows[:limit], encode_cursor(str(rows[limit - 1][name]))


def encode_cursor(last: str) -> str:
    """An opaque cursor that points behind `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """What `encode_cursor` was given.

    Raises:
        Refusal: `invalid_cursor`.
    """
    try:
        last = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        last = ""
    if not last.isprintable() or not last:
        raise invalid("invalid_cursor", "Use the cursor exactly as `next` gave it.", "cursor")
    return last
