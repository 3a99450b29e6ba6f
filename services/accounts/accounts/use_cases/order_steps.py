"""What an order has bound to deployments."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from accounts.storage import ENTITLEMENT
from chassis.persistence import Reader
from chassis.timeline import Step


def order_steps(reader: Reader, order_id: str, organization_id: str | None) -> Iterator[Step]:
    """The contracts and licences of an order.

    Args:
        reader: the database.
        order_id: the order.
        organization_id: whose they must be; None for anybody's.
    """
    for row in reader.all(sa.select(ENTITLEMENT).where(ENTITLEMENT.c.order_id == order_id)):
        if organization_id in (None, row["organization_id"]):
            facts = {name: row[name] for name in ("order_line_id", "deployment_id", "sku", "quantity")}
            yield Step(row["bound_at"], f"{row['kind']}.bound", facts)
