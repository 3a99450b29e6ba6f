"""Parked messages for whoever looks after the store: listed without their bodies, and handed to their queue again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from amqp.exceptions import AMQPError
from marshmallow import ValidationError, fields, validate, validates_schema

from chassis.identity import STAFF
from chassis.messages import PlainString, RequestSchema, StrictInteger, UtcDateTime
from chassis.messaging.incoming import CORRELATION_HEADER
from chassis.messaging.link import Link, connect, is_memory
from chassis.messaging.relay import ConfirmedPublisher, NotConfirmed, Outgoing
from chassis.persistence.database import Database
from chassis.persistence.paging import page
from chassis.persistence.tables import DEAD_LETTER
from kernel.errors import not_found, unavailable
from kernel.ids import new_id

#: Who may see them, and who may replay them (`chassis.identity.Identity.role`).
READERS = STAFF
REPLAYERS = ("support", "superuser")
#: Letters that one call over the bus replays at most: its caller waits for the answer.
MOST_AT_ONCE = 1000

#: Headers that are ours and hold no secret. Of any other, a statement of identity among them, only the name is shown.
_SHOWN_HEADERS = frozenset({"x-attempt", "correlation_id", "timeout_ms", "reply_exchange"})
_MASK = "…"
#: Letters that are locked, published and marked together.
_BATCH = 100


class ListDeadLetters(RequestSchema):
    """Which ones: of one queue, of causes that begin so, or all."""

    queue = PlainString(max_length=150)
    cause_prefix = PlainString(max_length=100)
    limit = StrictInteger(load_default=20, validate=validate.Range(min=1, max=100))
    cursor = PlainString(max_length=200)


class DeadLetterItem(RequestSchema):
    """A parked message without its body. `attempts` counts how often it was tried; `age_s` is since it was parked."""

    id = fields.String(required=True)
    queue = fields.String(required=True)
    event_id = fields.String(required=True, allow_none=True)
    cause = fields.String(required=True)
    attempts = StrictInteger(required=True)
    parked_at = UtcDateTime(required=True)
    age_s = StrictInteger(required=True)
    replayed_at = UtcDateTime(required=True, allow_none=True)
    headers = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class DeadLetterList(RequestSchema):
    """A page of them, newest first."""

    items = fields.List(fields.Nested(DeadLetterItem), required=True)
    next = fields.String(required=True, allow_none=True)


class ReplayDeadLetters(RequestSchema):
    """Which ones: one, those whose causes begin so, or all."""

    id = PlainString(max_length=64)
    cause_prefix = PlainString(max_length=100)
    all = fields.Boolean(truthy={True}, falsy=set())

    @validates_schema
    def _one_choice(self, data: dict[str, Any], **options: Any) -> None:
        if len(data) != 1:
            raise ValidationError("Say one of id, cause_prefix and all.")


class Replayed(RequestSchema):
    """How many went back to their queues, and how many of those asked for still wait."""

    replayed = StrictInteger(required=True)
    remaining = StrictInteger(required=True)


RPC_EXAMPLES: dict[str, dict[str, Any]] = {
    "list_dead_letters": {
        "request": {"queue": "credits.on.cart.order_paid.v1", "cause_prefix": "malformed", "limit": 9, "cursor": "ZA"},
        "reply": {
            "items": [
                {
                    "id": "dlt_01JDB0000000000000000000D0", "queue": "credits.on.cart.order_paid.v1",
                    "event_id": "evt_01JDB0000000000000000000E0", "cause": "malformed:data:lines", "attempts": 1,
                    "parked_at": "2026-11-22T12:00:00.000Z", "age_s": 5400, "replayed_at": None,
                    "headers": {"correlation_id": "cor_01JDB0000000000000000000R0", "x-death": _MASK},
                }
            ],
            "next": None,
        },
    },
    "replay_dead_letters": {
        "request": {"cause_prefix": "RuntimeError"},
        "reply": {"replayed": 3, "remaining": 0},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Selection:
    """Which letters are meant: all those that every field given fits.

    Args:
        id: one letter's.
        queue: where it came from.
        cause_prefix: how its cause begins, upper and lower case told apart.
    """

    id: str | None = None
    queue: str | None = None
    cause_prefix: str | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """The same, for the database."""
        column = DEAD_LETTER.c
        found: list[sa.ColumnElement[bool]] = []
        if self.id is not None:
            found.append(column.id == self.id)
        if self.queue is not None:
            found.append(column.queue == self.queue)
        if self.cause_prefix is not None:
            found.append(sa.func.substr(column.cause, 1, len(self.cause_prefix)) == self.cause_prefix)
        return found


class DeadLetters:
    """The parked messages of one service.

    Args:
        database: the service's own.
        broker_uri: the bus that they go back to.
    """

    def __init__(self, database: Database, broker_uri: str) -> None:
        self._database = database
        self._broker_uri = broker_uri

    def page(self, selection: Selection, limit: int, cursor: str | None = None) -> dict[str, Any]:
        """A page of them, newest first, as `DeadLetterList` has it.

        Raises:
            Refusal: `invalid_cursor`.
        """
        shown = [column for column in DEAD_LETTER.c if column.name != "body"]
        with self._database.reading() as reader:
            query = sa.select(*shown).where(*selection.conditions())
            rows, following = page(reader, query, DEAD_LETTER.c.id, limit, cursor)
        items = [
            {
                **row,
                "age_s": max(0, int((reader.now - row["parked_at"]).total_seconds())),
                "headers": _masked(row["headers"]),
            }
            for row in rows
        ]
        return {"items": items, "next": following}

    def replay(self, selection: Selection, at_most: int | None = None) -> dict[str, int]:
        """Hand letters to the queues they came from, as if they had just come: their attempts count from 1 again.

        Each goes once, whoever asks at the same time and however often. It is marked after the broker has confirmed
        it; what dies in between replays it again, which the inbox of its handler makes harmless. One that fails
        again is parked again, as a letter of its own.

        Args:
            selection: which.
            at_most: the oldest so many; None for all.

        Returns:
            `replayed`, and `remaining`: those asked for that this call left, because there were more than `at_most`,
            their queue does not exist, or somebody else was replaying them.

        Raises:
            Refusal: `not_found`: there is no letter with that id; `unavailable`: the broker does not answer.
        """
        waiting = self._waiting(selection)
        replayed = 0
        if waiting:
            with _publisher(self._broker_uri) as publish:
                chosen = waiting[:at_most]
                for start in range(0, len(chosen), _BATCH):
                    replayed += self._replay_batch(chosen[start : start + _BATCH], publish)
        return {"replayed": replayed, "remaining": len(waiting) - replayed}

    def _waiting(self, selection: Selection) -> Sequence[str]:
        # all of them now: what fails again while we are at it must not be found again
        column = DEAD_LETTER.c
        query = sa.select(column.id).where(*selection.conditions())
        with self._database.reading() as reader:
            if selection.id is not None and reader.one(query) is None:
                raise not_found("dead letter")
            rows = reader.all(query.where(column.replayed_at.is_(None)).order_by(column.id))
        return [row["id"] for row in rows]

    def _replay_batch(self, ids: Sequence[str], publish: Callable[[Sequence[Outgoing]], None]) -> int:
        # The lock is held until the broker has answered. So it is not the relay's thread that publishes: on SQLite
        # that thread may be waiting for this very transaction to end.
        column = DEAD_LETTER.c
        with self._database.transaction() as transaction:
            rows = transaction.all(
                sa.select(DEAD_LETTER)
                .where(column.id.in_(ids), column.replayed_at.is_(None))
                .order_by(column.id)
                .with_for_update(skip_locked=True)
            )
            batch = [Outgoing(row["id"], row["body"], "", row["queue"], _headers(row["headers"])) for row in rows]
            publish(batch)
            sent = [message.message_id for message in batch if message.confirmed]
            transaction.execute(
                sa.update(DEAD_LETTER)
                .where(column.id.in_(sent), column.replayed_at.is_(None))
                .values(replayed_at=transaction.now)
            )
        return len(sent)


@contextmanager
def _publisher(uri: str) -> Iterator[Callable[[Sequence[Outgoing]], None]]:
    connection = connect(uri)
    try:
        connection.connect()
        yield ConfirmedPublisher(Link(connection), is_memory(uri)).publish
    except (NotConfirmed, OSError, AMQPError) as error:
        raise unavailable("The broker does not answer; what was not confirmed still waits. Try again.") from error
    finally:
        connection.collect()


def _headers(stored: str) -> dict[str, str]:
    return {CORRELATION_HEADER: json.loads(stored).get(CORRELATION_HEADER) or new_id("cor")}


def _masked(stored: str) -> dict[str, str]:
    return {key: value if key in _SHOWN_HEADERS else _MASK for key, value in json.loads(stored).items()}
