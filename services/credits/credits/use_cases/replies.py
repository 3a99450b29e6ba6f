"""The first answer to an idempotent request, given again."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema

from chassis.persistence import Answer
from kernel.errors import conflict


def replayed(known: Answer, schema: Schema) -> dict[str, Any]:
    """The answer that is kept under a key.

    Args:
        known: what is known of the key.
        schema: how the answer was written.

    Raises:
        Refusal: `idempotency_key_in_flight`.
    """
    if known.answer is None:
        raise conflict("idempotency_key_in_flight", "The first request with this Idempotency-Key is still under way.")
    answer: dict[str, Any] = schema.load(known.answer)
    return {**answer, "replayed": True}
