"""Which services there are behind the gateway."""

from __future__ import annotations

SERVICES = ("accounts", "catalog", "cart", "payments", "credits", "support", "notifications")
