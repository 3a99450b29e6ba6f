"""What a service's own messaging tables say: what has not left yet, and what was parked, by cause."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from marshmallow import fields

from chassis.messages import RequestSchema, StrictInteger
from chassis.persistence.database import Database
from chassis.persistence.tables import DEAD_LETTER, OUTBOX


class MessagingState(RequestSchema):
    """The state of a service's outbox and dead letters."""

    #: Events that were committed and that the broker has not confirmed yet.
    unsent = StrictInteger(required=True)
    #: The age of the oldest of them in seconds; null if there is none.
    oldest_unsent_s = fields.Float(required=True, allow_none=True)
    #: How many parked messages that nobody has replayed wait for each cause.
    dead_letters_by_cause = fields.Dict(keys=fields.String(), values=StrictInteger(), required=True)


RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "messaging_state": {
        "request": {},
        "reply": {"unsent": 1, "oldest_unsent_s": 0.25, "dead_letters_by_cause": {"malformed:not_json": 2}},
    }
}


def messaging_state(database: Database) -> dict[str, Any]:
    """The fields of `MessagingState`.

    Args:
        database: the service's own.
    """
    with database.reading() as reader:
        unsent = reader.one(
            sa.select(sa.func.count().label("number"), sa.func.min(OUTBOX.c.created_at).label("oldest"))
            .where(OUTBOX.c.sent_at.is_(None))
        )  # fmt: skip
        parked = reader.all(
            sa.select(DEAD_LETTER.c.cause, sa.func.count().label("number"))
            .where(DEAD_LETTER.c.replayed_at.is_(None))
            .group_by(DEAD_LETTER.c.cause)
        )
        assert unsent is not None, "an aggregate has a row"
        oldest = unsent["oldest"]
        return {
            "unsent": unsent["number"],
            "oldest_unsent_s": None if oldest is None else (reader.now - oldest).total_seconds(),
            "dead_letters_by_cause": {row["cause"]: row["number"] for row in parked},
        }
