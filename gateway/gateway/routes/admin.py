"""For staff. The services check the role; every call leaves a line in the audit log."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.audit import audited, note
from gateway.services import SERVICES
from gateway.web import Blueprint, answer, ask, backend, given, needs_key, page, replayed
from kernel.errors import Refusal, invalid

routes = Blueprint("Admin", __name__, url_prefix="/v1/admin", description="For staff; every call is logged.")


@routes.route("/dead-letters", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.DeadLetter))
@routes.arguments(inputs.DeadLetterQuery(), location="query")
def list_dead_letters(query: dict[str, Any]) -> Response:
    """Events that could not be handled, with cause, attempts and age: service by service, newest first."""
    note(**query)
    return page(_collect(query), query)


@routes.route("/dead-letters/replay", methods=["POST"])
@audited
@routes.response(200, outputs.Replayed)
@routes.arguments(inputs.Replay())
def replay_dead_letters(body: dict[str, Any]) -> Response:
    """Try dead letters again. Each goes once, however often this is asked; 1,000 at once."""
    note(**body)
    reply = ask(
        body["service"], "replay_dead_letters", given({"id": body.get("id"), "cause_prefix": body.get("cause")})
    )
    note(**reply)
    return answer(reply)


@routes.route("/credits/spends", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Spent)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewSpend())
def spend(body: dict[str, Any], idempotency_key: str) -> Response:
    """Take credits off an organisation's balance, for a cause; never more than there are."""
    note(**body)
    reply = ask("credits", "spend", {**body, "idempotency_key": idempotency_key})
    return answer({key: value for key, value in reply.items() if key != "replayed"}, 201, replayed(reply))


@routes.route("/orders/<id:order_id>/refund", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Refund, description="The money is given back")
@routes.alt_response(
    202, schema=outputs.Refund, description="Under way; somebody has not answered yet: poll", success=True
)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.NewRefund())
def refund(body: dict[str, Any], order_id: str, idempotency_key: str) -> Response:
    """Give money of an order back: all that is left, pieces of its lines, or an amount. What it brought is taken back
    first, unclaimed cards and unspent credits; claimed or spent ones are 409 `credits_in_use`, unless `claimed` is
    `refund_anyway`: those stay where they are. Large ones wait for a second person, and what came by wire or check for
    a payout.
    """
    note(order_id=order_id, **body)
    reply = ask(
        "cart",
        "refund_order",
        {"order_id": order_id, "idempotency_key": idempotency_key, **body},
        timeout_s=backend().settings.checkout_timeout_s,
    )
    note(refund_id=reply["refund"]["id"], state=reply["refund"]["state"])
    waiting = {"Retry-After": "1"} if reply["status"] == 202 else {}
    return answer(reply["refund"], reply["status"], {**replayed(reply), **waiting})


@routes.route("/refunds", methods=["GET"])
@audited
@routes.response(200, outputs.page_of(outputs.Refund))
@routes.arguments(inputs.RefundQuery(), location="query")
def list_refunds(query: dict[str, Any]) -> Response:
    """Refunds of all organisations, newest first."""
    note(**query)
    return page(ask("cart", "list_refunds", query), query)


@routes.route("/refunds/<id:refund_id>", methods=["GET"])
@audited
@routes.response(200, outputs.Refund)
def find_refund(refund_id: str) -> Response:
    """A refund."""
    note(refund_id=refund_id)
    return answer(ask("cart", "find_refund", {"id": refund_id}))


@routes.route("/refunds/<id:refund_id>/approve", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Refund, description="Agreed, and ended")
@routes.alt_response(202, schema=outputs.Refund, description="Agreed, and under way: poll", success=True)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.RefundDecision(), required=False)
def approve_refund(body: dict[str, Any], refund_id: str, idempotency_key: str) -> Response:
    """Agree to a refund that waits for a second person; 403 `second_person_required` for whoever asked for it."""
    return _decide(body, refund_id, idempotency_key, approve=True)


@routes.route("/refunds/<id:refund_id>/reject", methods=["POST"])
@audited
@needs_key
@routes.response(201, outputs.Refund, description="Not agreed: nothing is given or taken back")
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.RefundDecision(), required=False)
def reject_refund(body: dict[str, Any], refund_id: str, idempotency_key: str) -> Response:
    """Do not agree to a refund that waits for a second person."""
    return _decide(body, refund_id, idempotency_key, approve=False)


def _decide(body: dict[str, Any], refund_id: str, idempotency_key: str, *, approve: bool) -> Response:
    note(refund_id=refund_id, **body)
    reply = ask(
        "cart",
        "decide_refund",
        {"id": refund_id, "approve": approve, "idempotency_key": idempotency_key, **body},
        timeout_s=backend().settings.checkout_timeout_s,
    )
    note(state=reply["refund"]["state"])
    waiting = {"Retry-After": "1"} if reply["status"] == 202 else {}
    return answer(reply["refund"], reply["status"], {**replayed(reply), **waiting})


@routes.route("/orders/<id:order_id>/refund", methods=["GET"])
@audited
@routes.response(200, outputs.Refund)
def get_refund(order_id: str) -> Response:
    """The newest refund of an order."""
    note(order_id=order_id)
    return answer(ask("cart", "get_refund", {"order_id": order_id}))


def _collect(query: dict[str, Any]) -> dict[str, Any]:
    """A page over services; the cursor names the one where the next page goes on."""
    services = [query["service"]] if "service" in query else list(SERVICES)
    service, cursor = _position(query.get("cursor"), services)
    items: list[dict[str, Any]] = []
    for at_hand in services[services.index(service) :]:
        room = query["limit"] - len(items)
        if room == 0:
            return {"items": items, "next": f"{at_hand}."}
        wanted = {"limit": room, "cause_prefix": query.get("cause"), "cursor": cursor}
        reply = ask(at_hand, "list_dead_letters", given(wanted))
        items += [{"service": at_hand, **item} for item in reply["items"]]
        if reply["next"] is not None:
            return {"items": items, "next": f"{at_hand}.{reply['next']}"}
        cursor = None
    return {"items": items, "next": None}


def _position(cursor: str | None, services: list[str]) -> tuple[str, str | None]:
    if cursor is None:
        return services[0], None
    service, _, rest = cursor.partition(".")
    if service not in services:
        raise _invalid_cursor()
    return service, rest or None


def _invalid_cursor() -> Refusal:
    return invalid("invalid_cursor", "Use the cursor exactly as `next` gave it.", "cursor")
