"""The credits of the caller's organisation."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.csvtext import all_rows, csv_answer, wants_csv
from gateway.tracing import traced
from gateway.web import Blueprint, answer, ask, of_days, page

routes = Blueprint("Credits", __name__, url_prefix="/v1/credits", description="Balance and statement.")

_COLUMNS = (
    "occurred_at", "kind", "amount", "balance_after", "memo", "expires_at", "order_id", "card_id", "id",
)  # fmt: skip
#: Entries in one file; days narrow it down.
_MOST_IN_CSV = 10_000


@routes.route("", methods=["GET"])
@routes.response(200, outputs.Balance)
def get_balance() -> Response:
    """How many credits your organisation has."""
    return answer(ask("credits", "get_balance"))


@routes.route("/alert", methods=["GET"])
@routes.response(200, outputs.BalanceAlert)
def get_alert() -> Response:
    """Below which balance a mail is sent, and to whom."""
    return answer(ask("credits", "get_alert"))


@routes.route("/alert", methods=["PATCH"])
@routes.response(200, outputs.BalanceAlert)
@routes.arguments(inputs.AlertThreshold())
def set_alert(body: dict[str, Any]) -> Response:
    """Get a mail each time the balance falls below a threshold; null for none."""
    return answer(ask("credits", "set_alert", body))


@routes.route("/entries", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Entry))
@routes.arguments(inputs.DaysQuery(), location="query")
def list_entries(query: dict[str, Any]) -> Response:
    """The statement, newest first; with `Accept: text/csv` all of it as a file, up to 10,000 entries."""
    wanted = of_days(query)
    if wants_csv():
        return csv_answer("credits", _COLUMNS, all_rows("credits", "list_entries", wanted, _MOST_IN_CSV))
    return page(ask("credits", "list_entries", wanted), query)


@routes.route("/entries/<id:entry_id>/trace", methods=["GET"])
@routes.response(200, outputs.Trace)
def trace(entry_id: str) -> Response:
    """Where the credits of an entry came from: card, order line, payment, invoice; and what they were used for."""
    return answer(traced(ask("credits", "trace_entry", {"id": entry_id})))
