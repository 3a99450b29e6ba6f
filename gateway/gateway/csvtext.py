"""Lists as CSV (RFC 4180) for spreadsheets, for clients that say ``Accept: text/csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import Response, current_app, request

from gateway.web import ask

#: What a spreadsheet takes for the beginning of a formula; a cell that begins so is text all the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def wants_csv() -> bool:
    """Whether the client would rather have CSV than JSON."""
    return request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv"


def all_rows(service: str, method: str, wanted: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """A list for a file: page after page of what a service lists.

    Args:
        service: its name.
        method: of that service; it answers ``items`` and ``next``.
        wanted: what the list is asked for.
        most: rows after which no further page is asked for.
    """
    rows: list[dict[str, Any]] = []
    asked = {**wanted, "limit": 100}
    while len(rows) < most:
        reply = ask(service, method, asked)
        rows += reply["items"]
        if reply["next"] is None:
            break
        asked["cursor"] = reply["next"]
    return rows


def csv_answer(name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Response:
    """The rows as a file.

    Args:
        name: of the file, without its ending.
        columns: in this order; each may lead into an inner mapping, as in ``buyer.email``.
        rows: JSON as the services gave it.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(_inner(row, column)) for column in columns])
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return current_app.response_class(text.getvalue(), 200, headers, content_type="text/csv; charset=utf-8")


def _inner(row: Any, column: str) -> Any:
    for name in column.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
