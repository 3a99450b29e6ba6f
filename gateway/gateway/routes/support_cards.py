"""Support credit cards: see, preview, claim; and what their issuer may do with them.

The claim code is sealed before it leaves this process.
"""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.web import Blueprint, answer, ask, backend, client_address, given, needs_key, page, replayed

routes = Blueprint(
    "Support cards",
    __name__,
    url_prefix="/v1/support-cards",
    description="Cards that carry credits.",
)


@routes.route("", methods=["GET"])
@routes.response(200, outputs.page_of(outputs.SupportCard))
@routes.arguments(inputs.CardQuery(), location="query")
def list_cards(query: dict[str, Any]) -> Response:
    """The cards that your organisation bought (`issuer`) or claimed (`claimant`)."""
    return page(ask("credits", "list_cards", query), query)


@routes.route("/<id:card_id>", methods=["GET"])
@routes.response(200, outputs.SupportCard)
def get(card_id: str) -> Response:
    """One card, masked."""
    return answer(ask("credits", "get_card", {"id": card_id}))


@routes.route("/preview", methods=["POST"])
@routes.response(200, outputs.CardPreview)
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.CardAndCode())
def preview(body: dict[str, Any]) -> Response:
    """See what claiming a card would bring, and to whom. Changes nothing."""
    return answer(ask("credits", "preview_card", _sealed(body)))


@routes.route("/claim", methods=["POST"])
@needs_key
@routes.response(200, outputs.Claim)
@routes.alt_response(429, "TOO_MANY_REQUESTS")
@routes.arguments(inputs.CardAndCode())
def claim(body: dict[str, Any], idempotency_key: str) -> Response:
    """Claim a card: its credits go to your organisation, for good."""
    reply = ask("credits", "claim_card", {"idempotency_key": idempotency_key, **_sealed(body)})
    headers = replayed(reply)
    return answer({key: value for key, value in reply.items() if key != "replayed"}, headers=headers)


@routes.route("/<id:card_id>/recall", methods=["POST"])
@needs_key
@routes.response(200, outputs.Recall)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.RecallCard())
def recall(_body: dict[str, Any], card_id: str, idempotency_key: str) -> Response:
    """Take back a card that your organisation bought and nobody has claimed: its credits go to your balance."""
    reply = ask("credits", "recall_card", {"card_id": card_id, "idempotency_key": idempotency_key})
    headers = replayed(reply)
    return answer({key: value for key, value in reply.items() if key != "replayed"}, headers=headers)


@routes.route("/<id:card_id>/freeze", methods=["POST"])
@needs_key
@routes.response(200, outputs.SupportCard)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.Nothing(), required=False)
def freeze(_body: dict[str, Any], card_id: str, idempotency_key: str) -> Response:
    """Keep a card that your organisation bought from being claimed, until you unfreeze it."""
    return _changed("freeze_card", card_id, idempotency_key)


@routes.route("/<id:card_id>/unfreeze", methods=["POST"])
@needs_key
@routes.response(200, outputs.SupportCard)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.Nothing(), required=False)
def unfreeze(_body: dict[str, Any], card_id: str, idempotency_key: str) -> Response:
    """Let a frozen card be claimed again."""
    return _changed("unfreeze_card", card_id, idempotency_key)


@routes.route("/<id:card_id>/reissue", methods=["POST"])
@needs_key
@routes.response(200, outputs.SupportCard)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.Nothing(), required=False)
def reissue(_body: dict[str, Any], card_id: str, idempotency_key: str) -> Response:
    """A new claim code for a card that nobody has claimed. It is mailed to the buyer; the old one is dead at once."""
    return _changed("reissue_card", card_id, idempotency_key)


@routes.route("/<id:card_id>/bind", methods=["POST"])
@needs_key
@routes.response(200, outputs.SupportCard)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.CardBinding())
def bind(body: dict[str, Any], card_id: str, idempotency_key: str) -> Response:
    """Let one organisation only, or people of one mail domain only, claim a card; or anybody again."""
    return _changed("bind_card", card_id, idempotency_key, given(body))


@routes.route("/<id:card_id>/split", methods=["POST"])
@needs_key
@routes.response(200, outputs.SplitCard)
@routes.alt_response(409, "CONFLICT")
@routes.arguments(inputs.CardParts())
def split(body: dict[str, Any], card_id: str, idempotency_key: str) -> Response:
    """Split a card that nobody has claimed into smaller ones. Each is mailed to the buyer with a code of its own."""
    reply = ask("credits", "split_card", {"card_id": card_id, "idempotency_key": idempotency_key, **body})
    return answer({"card": reply["card"], "cards": reply["cards"]}, headers=replayed(reply))


def _changed(method: str, card_id: str, idempotency_key: str, wish: dict[str, Any] | None = None) -> Response:
    reply = ask("credits", method, {"card_id": card_id, "idempotency_key": idempotency_key, **(wish or {})})
    return answer(reply["card"], headers=replayed(reply))


def _sealed(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "number": body["number"],
        "sealed_code": backend().claim_codes.seal(body["code"]),
        "client_address": client_address(),
    }
