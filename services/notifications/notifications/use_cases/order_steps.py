"""Which mails an order has caused, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import sqlalchemy as sa

from chassis.persistence import Reader, Row
from chassis.timeline import Step
from notifications.domain.deliveries import State
from notifications.storage import DELIVERY


def order_steps(reader: Reader, order_id: str, organization_id: str | None) -> Iterator[Step]:
    """The mails of an order, never what they say.

    Args:
        reader: the database.
        order_id: the order.
        organization_id: whose mails; None for everybody's.
    """
    for row in reader.all(sa.select(DELIVERY).where(DELIVERY.c.order_id == order_id)):
        if organization_id not in (None, _organization(row)):
            continue
        facts = {"delivery_id": row["id"], "kind": row["kind"], "recipient": row["recipient"]}
        yield Step(row["queued_at"], "mail.queued", facts)
        if row["state"] == State.SENT:
            yield Step(row["sent_at"], "mail.sent", {**facts, "attempts": row["attempts"]})
        elif row["state"] == State.FAILED:
            yield Step(row["next_attempt_at"], "mail.given_up", {**facts, "error": row["last_error"]})


def _organization(delivery: Row) -> str | None:
    """Whose buyer the mail is for."""
    told = json.loads(delivery["payload"])
    whose = told.get("organization") or told.get("issuer") or {}
    return whose.get("id")
