"""Support tickets: look first, open, follow, decide about more credits; and what support does with them."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.web import Blueprint, answer, ask, backend, given, needs_key, page, replayed

routes = Blueprint("Tickets", __name__, url_prefix="/v1/tickets", description="Support, paid in credits by the minute.")
staff_routes = Blueprint(
    "Admin tickets", __name__, url_prefix="/v1/admin/tickets", description="For support; every call is logged."
)

_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where to follow the ticket"}}


@routes.route("/preflight", methods=["GET"])
@routes.response(200, outputs.Preflight)
@routes.arguments(inputs.PreflightQuery(), location="query")
def preflight(query: dict[str, Any]) -> Response:
    """Whether a ticket on a deployment would be accepted, and everything that stands in its way. Changes nothing."""
    return answer(ask("support", "preflight", query))


@routes.route("", methods=["POST"])
@needs_key
@routes.response(201, outputs.Ticket, description="Open; its credits are held", headers=_LOCATION)
@routes.alt_response(
    202, schema=outputs.Ticket, description="Written down; its credits are still to be held: poll", headers=_LOCATION,
    success=True,
)  # fmt: skip
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewTicket())
def open_ticket(body: dict[str, Any], idempotency_key: str) -> Response:
    """Open a ticket. It holds credits up to the cap; nothing beyond is debited without another yes."""
    return _answered(_move("open_ticket", {**body, "idempotency_key": idempotency_key}), located=True)


@routes.route("", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.TicketSummary))
@routes.arguments(inputs.TicketQuery(), location="query")
def list_tickets(query: dict[str, Any]) -> Response:
    """Your organisation's tickets, newest first."""
    return page(ask("support", "list_tickets", query), query)


@routes.route("/<id:ticket_id>", methods=["GET"])
@routes.response(200, outputs.Ticket)
def get(ticket_id: str) -> Response:
    """One ticket, with the time that was worked on it."""
    return answer(ask("support", "get_ticket", {"id": ticket_id}))


@routes.route("/<id:ticket_id>/comments", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.Comment))
@routes.arguments(inputs.PageQuery(), location="query")
def list_comments(query: dict[str, Any], ticket_id: str) -> Response:
    """What was written about a ticket, oldest first."""
    return page(ask("support", "list_comments", {**query, "id": ticket_id}), query)


@routes.route("/<id:ticket_id>/comments", methods=["POST"])
@needs_key
@routes.response(201, outputs.CommentAdded)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewComment())
def add_comment(body: dict[str, Any], ticket_id: str, idempotency_key: str) -> Response:
    """Write something. `internal` is for support only, and read by support only."""
    reply = ask("support", "add_comment", {**body, "id": ticket_id, "idempotency_key": idempotency_key})
    return answer({"comment": reply["comment"], "state": reply["state"]}, 201, replayed(reply))


@routes.route("/<id:ticket_id>/time", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Ticket)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewTime())
def add_time(body: dict[str, Any], ticket_id: str, idempotency_key: str) -> Response:
    """For support: note minutes that were worked, or take an entry back. Beyond the cap the customer is asked."""
    note(ticket_id=ticket_id, minutes=body.get("minutes"), reverses=body.get("reverses"))
    if "worked_on" in body:
        body["worked_on"] = body["worked_on"].isoformat()
    return _answered(ask("support", "add_time", {**body, "id": ticket_id, "idempotency_key": idempotency_key}))


@routes.route("/<id:ticket_id>/overrun", methods=["POST"])
@needs_key
@routes.response(200, outputs.Ticket)
@routes.alt_response(202, schema=outputs.Ticket, description="The credits are still to be held: poll", success=True)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.OverrunAnswer())
def answer_overrun(body: dict[str, Any], ticket_id: str, idempotency_key: str) -> Response:
    """Say yes or no to the credits that the ticket needs beyond its cap. After a no, that time is written off."""
    wish = {**given(body), "id": ticket_id, "idempotency_key": idempotency_key}
    return _answered(_move("answer_overrun", wish))


@routes.route("/<id:ticket_id>/close", methods=["POST"])
@needs_key
@routes.response(200, outputs.Ticket, description="Closed; what was worked is debited, the rest is back")
@routes.alt_response(202, schema=outputs.Ticket, description="Still to be settled: poll", success=True)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.Nothing(), required=False)
def close(_body: dict[str, Any], ticket_id: str, idempotency_key: str) -> Response:
    """Close a ticket. Customers may as long as support has not begun; then it costs nothing."""
    return _answered(_move("close_ticket", {"id": ticket_id, "idempotency_key": idempotency_key}))


@routes.route("/<id:ticket_id>/reopen", methods=["POST"])
@needs_key
@routes.response(200, outputs.Ticket)
@routes.alt_response(202, schema=outputs.Ticket, description="Its credits are still to be held: poll", success=True)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.ReopenedTicket())
def reopen(body: dict[str, Any], ticket_id: str, idempotency_key: str) -> Response:
    """Open a ticket again that was closed a short while ago; it holds credits anew."""
    return _answered(_move("reopen_ticket", {**body, "id": ticket_id, "idempotency_key": idempotency_key}))


@routes.route("/<id:ticket_id>/defect", methods=["POST"])
@audited
@needs_key
@routes.response(200, outputs.Ticket)
@routes.alt_response(202, schema=outputs.Ticket, description="The credits are still to come back: poll", success=True)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.FoundDefect())
def give_back_defect(body: dict[str, Any], ticket_id: str, idempotency_key: str) -> Response:
    """For support: it was a mistake of ours. Nothing is debited, and what was comes back."""
    note(ticket_id=ticket_id, **body)
    return _answered(_move("give_back_defect", {**body, "id": ticket_id, "idempotency_key": idempotency_key}))


@staff_routes.route("", methods=["GET"])
@audited
@staff_routes.response(200, outputs.page_of(outputs.TicketSummary))
@staff_routes.arguments(inputs.QueueQuery(), location="query")
def list_queue(query: dict[str, Any]) -> Response:
    """Tickets of all organisations, the oldest first: those that are open or wait for the customer, unless told."""
    note(**query)
    return page(ask("support", "list_queue", query), query)


@staff_routes.route("/<id:ticket_id>", methods=["GET"])
@audited
@staff_routes.response(200, outputs.Ticket)
def get_any(ticket_id: str) -> Response:
    """Any organisation's ticket. Its comments are at /v1/tickets/{id}/comments, internal ones included."""
    note(ticket_id=ticket_id)
    return answer(ask("support", "get_any_ticket", {"id": ticket_id}))


def _move(method: str, wish: dict[str, Any]) -> dict[str, Any]:
    """Ask for what credits has a part in: support waits for credits, and is waited for longer than that."""
    return ask("support", method, wish, timeout_s=backend().settings.checkout_timeout_s)


def _answered(reply: dict[str, Any], *, located: bool = False) -> Response:
    headers = replayed(reply)
    if located or reply["status"] == 202:
        headers |= {"Location": f"/v1/tickets/{reply['ticket']['id']}"}
    if reply["status"] == 202:
        headers |= {"Retry-After": "1"}
    return answer(reply["ticket"], reply["status"], headers)
