"""Who wants to be told when a balance is low."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Statement, Transaction
from credits.storage.tables import BALANCE_ALERT

_FIND = Statement(
    sa.select(BALANCE_ALERT).where(BALANCE_ALERT.c.organization_id == sa.bindparam("organization_id"))
)  # fmt: skip


def find(reader: Reader, organization_id: str) -> Row | None:
    """The alert of an organisation, if it wants one."""
    return reader.one(_FIND, organization_id=organization_id)


def put(tx: Transaction, organization_id: str, values: Mapping[str, Any] | None) -> None:
    """Have an organisation alerted in this way from now on, or not at all."""
    own = BALANCE_ALERT.c.organization_id == organization_id
    if values is None:
        tx.execute(sa.delete(BALANCE_ALERT).where(own))
        return
    row = {**values, "set_at": tx.now}
    if not tx.insert_new(BALANCE_ALERT, {"organization_id": organization_id, **row}):
        tx.execute(sa.update(BALANCE_ALERT).where(own).values(**row))
