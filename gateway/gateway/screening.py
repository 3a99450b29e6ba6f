"""What is looked at before anything is called: size, well-formed JSON, and no payment card number anywhere.

Card numbers go from the browser to the payment provider only (mission, row 23); one that strays in here is refused
before it can reach the bus, a database or a log.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.jsontext import MalformedBody, parse_json
from kernel.card_numbers import contains_card_number
from kernel.errors import Refusal, invalid

#: Bytes of the largest request body (api.md: limits).
LARGEST_BODY = 64 * 1024

# A random UUID reads as a card number once in some 20,000; clients make their keys that way.
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def holds_card_number(text: str) -> bool:
    """Whether a valid payment card number stands in the text, full-width digits and odd spaces included."""
    return contains_card_number(_suspicious(text))


def _suspicious(text: str) -> str:
    """What of the text may hold a card number."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return "" if _UUID.fullmatch(text) else text


def card_number_refused() -> Refusal:
    """The one answer to a card number; it does not repeat it."""
    return invalid(
        "card_number_refused",
        "The request holds what looks like a payment card number. Card numbers go to the payment provider only; "
        "send the token that it gives.",
    )


def screen(request: Request) -> Any:
    """Check the path, the query, the headers that are kept, and the body.

    Returns:
        The parsed JSON body; None if there is no body or it is not JSON.

    Raises:
        Refusal: `card_number_refused`.
        MalformedBody: the body says it is JSON and is not.
        werkzeug.exceptions.RequestEntityTooLarge: the body is too large.
    """
    raw = request.get_data(cache=True)
    if len(raw) > LARGEST_BODY:  # werkzeug cuts a chunked body at its limit without a word; ours is one byte less
        raise RequestEntityTooLarge
    texts = [request.path, request.headers.get("Idempotency-Key", ""), request.headers.get("If-Match", "")]
    for key, values in request.args.lists():
        texts += [key, *values]
    text = raw.decode("utf-8", "replace")
    # one search for all of them: no card number goes over a line break
    if contains_card_number("\n".join(map(_suspicious, (*texts, text)))):
        raise card_number_refused()
    if not raw or not request.is_json:
        return None
    body = parse_json(raw)
    # without an escape every string stands in the text as it is, and the text has been looked at
    if "\\" in text:
        _screen_strings(body)
    return body


def _screen_strings(body: Any) -> None:
    for text in _strings(body):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise MalformedBody("half a surrogate pair is no text")
        if holds_card_number(text):
            raise card_number_refused()


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list):
            waiting += found
