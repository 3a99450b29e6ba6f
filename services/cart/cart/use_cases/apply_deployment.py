"""Apply to All: one deployment for every line that needs one."""

from __future__ import annotations

from typing import Any

from cart.bootstrap import App
from cart.clients import PriceList
from cart.domain import cart as rules
from cart.use_cases.change_cart import change_cart
from chassis.identity import Identity


def apply_deployment(app: App, caller: Identity, *, deployment_id: str, if_match: int | None) -> dict[str, Any]:
    """Set the deployment on every line that needs one; the cart comes back with `applied` and `skipped`.

    Raises:
        Refusal: see `change_cart`.
    """
    applied: list[str] = []
    skipped: list[dict[str, str]] = []

    def apply(cart: rules.Cart, _prices: PriceList) -> rules.Cart:
        cart, line_ids, passed_over = rules.apply_deployment(cart, deployment_id)
        applied.extend(line_ids)
        skipped.extend({"line_id": line_id, "reason": reason} for line_id, reason in passed_over)
        return cart

    reply = change_cart(app, caller, apply, if_match=if_match, deployment_id=deployment_id)
    return {**reply, "applied": applied, "skipped": skipped}
