"""What happened to an order, made of what each service tells."""

from __future__ import annotations

from typing import Any

from gateway.services import SERVICES
from gateway.web import ask


def timeline(order_id: str) -> dict[str, Any]:
    """Every step that the caller may see, oldest first. The services check whose order it is."""
    items = [
        {"service": service, **item}
        for service in SERVICES
        for item in ask(service, "order_timeline", {"order_id": order_id})["items"]
    ]
    return {"items": sorted(items, key=lambda item: str(item["happened_at"]))}
