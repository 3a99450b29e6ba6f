"""See what a card would bring before claiming it."""

from __future__ import annotations

from typing import Any

from chassis.identity import Identity
from credits.bootstrap import App
from credits.domain import codes
from credits.storage import cards
from credits.use_cases.bearer import Guesses, read_bearer, require_bound_to


def preview_card(
    app: App, caller: Identity, *, number: str, sealed_code: str, client_address: str
) -> dict[str, Any]:  # fmt: skip
    """What a claim of the card would bring to the caller's organisation. Changes nothing.

    Only those who may claim may preview: nobody else has a use for asking whether a code is right.

    Args:
        app: the service's parts.
        caller: a buyer or admin.
        number: the card's, as typed.
        sealed_code: the claim code as typed, sealed for credits.
        client_address: where the request came from.

    Raises:
        Refusal: `forbidden`; `card_not_claimable`, whatever is wrong with the card or the code; `too_many_attempts`
            after ten of those in ten minutes; `card_not_for_you`: the card is bound to others.
    """
    caller.require("buyer", "admin")
    bearer = read_bearer(app, number, sealed_code)
    guesses = Guesses(app, caller, client_address)
    with guesses.counted(), app.database.reading() as reader:
        guesses.check(reader)
        card = bearer.require_claimable(cards.find_by_number(reader, bearer.number), reader.now)
        require_bound_to(card, caller)
    return {
        "number_masked": codes.masked(card["number"]),
        "credits": card["credits"],
        "expires_at": card["expires_at"],
        "organization": {"id": caller.organization_id, "name": caller.organization},
    }
