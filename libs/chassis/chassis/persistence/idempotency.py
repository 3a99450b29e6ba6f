"""Idempotency keys, stored in the service that owns the effect, in the transaction of the effect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chassis.persistence.database import Reader, Transaction
from chassis.persistence.statements import Row, Statement
from chassis.persistence.tables import IDEMPOTENCY_KEY
from kernel.errors import Kind, Refusal, conflict

#: Which key is meant, by the values ``scope`` and ``key``; and what `answer_of` reads of it. For whoever looks up other
#: things with the same statement.
IS_KEY = sa.and_(IDEMPOTENCY_KEY.c.scope == sa.bindparam("scope"), IDEMPOTENCY_KEY.c.key == sa.bindparam("key"))
ANSWER_COLUMNS = (IDEMPOTENCY_KEY.c.request_hash, IDEMPOTENCY_KEY.c.answer, IDEMPOTENCY_KEY.c.subject_id)
_FIND = Statement(sa.select(*ANSWER_COLUMNS).where(IS_KEY))
_FINISH = Statement(
    sa.update(IDEMPOTENCY_KEY)
    .where(
        IDEMPOTENCY_KEY.c.scope == sa.bindparam("in_scope"),
        IDEMPOTENCY_KEY.c.key == sa.bindparam("of_key"),
        IDEMPOTENCY_KEY.c.answer.is_(None),
    )
    .values(answer=sa.bindparam("text"))
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about a key that was used before.

    Args:
        answer: the first answer as JSON values; None while the first request is still under way.
        subject_id: what the first request made (an order's id, say), so that a retry can resume it.
    """

    answer: dict[str, Any] | None
    subject_id: str | None


def find_answer(reader: Reader, scope: str, key: str, request: str) -> Answer | None:
    """What is known about a key; None if nothing.

    Args:
        reader: where to look; nothing is changed.
        scope, key, request: as for `IdempotencyKeys`.

    Raises:
        Refusal: `idempotency_key_reused`: the key came with another request before.
    """
    return answer_of(reader.one(_FIND, scope=scope, key=key), request)


def answer_of(row: Row | None, request: str) -> Answer | None:
    """The same, by a row with `ANSWER_COLUMNS`, which are null if there is no such key.

    Raises:
        Refusal: as `find_answer` does.
    """
    if row is None or row["request_hash"] is None:
        return None
    if row["request_hash"] != request:
        raise Refusal(
            Kind.INVALID, "idempotency_key_reused", "This Idempotency-Key was used for another request. Use a new one."
        )
    return Answer(json.loads(row["answer"]) if row["answer"] else None, row["subject_id"])


class IdempotencyKeys:
    """The keys of one scope (an organisation).

    Args:
        transaction: the one in which the effect happens.
        scope: the organisation's id; the same key in two organisations is two keys.
    """

    def __init__(self, transaction: Transaction, scope: str) -> None:
        self._transaction = transaction
        self._scope = scope

    def begin(self, key: str, request: str, subject_id: str | None = None) -> Answer | None:
        """Take the key. None if it is new: the caller goes on and calls `finish`.

        Args:
            key: the client's Idempotency-Key.
            request: `request_hash` of what was asked.
            subject_id: what this request is about to make.

        Raises:
            Refusal: `idempotency_key_reused`: the key came with another request before.
        """
        if self._transaction.insert_new(IDEMPOTENCY_KEY, self._row(key, request, subject_id)):
            return None
        return find_answer(self._transaction, self._scope, key, request)

    def take(self, key: str, request: str, subject_id: str | None = None) -> None:
        """Take a key that was not there when it was looked up, without asking again.

        Raises:
            IntegrityError: it is there by now (with the next statement or the commit).
        """
        self._transaction.insert(IDEMPOTENCY_KEY, self._row(key, request, subject_id))

    def finish(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep the answer for those who ask again. The first one stays."""
        text = json.dumps(answer, separators=(",", ":"))
        self._transaction.write(_FINISH, in_scope=self._scope, of_key=key, text=text)

    def _row(self, key: str, request: str, subject_id: str | None) -> dict[str, Any]:
        return {
            "scope": self._scope,
            "key": key,
            "request_hash": request,
            "subject_id": subject_id,
            "created_at": self._transaction.now,
        }


def in_flight() -> Refusal:
    """The answer to a retry while the first request is still under way, and somebody is at it."""
    return conflict(
        "idempotency_key_in_flight", "The first request with this Idempotency-Key is still under way. Ask again."
    )


def refuse_as_kept(answer: Mapping[str, Any], *, replayed: bool) -> None:
    """Refuse if a kept answer is a refusal (``{"refusal": Refusal.as_dict()}``).

    Args:
        answer: what `finish` was given.
        replayed: whether it is given again, which the refusal then says.

    Raises:
        Refusal: the one that was kept.
    """
    if "refusal" in answer:
        refusal = Refusal.from_dict(answer["refusal"])
        if replayed:
            refusal.extra["replayed"] = True
        raise refusal


def request_hash(operation: str, body: Mapping[str, Any]) -> str:
    """A digest of what was asked, the same whatever the order of its fields."""
    text = json.dumps([operation, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
