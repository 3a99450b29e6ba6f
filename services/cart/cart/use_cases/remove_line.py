"""Take a line out of the cart."""

from __future__ import annotations

from typing import Any

from cart.bootstrap import App
from cart.domain import cart as rules
from cart.use_cases.change_cart import change_cart
from chassis.identity import Identity


def remove_line(app: App, caller: Identity, *, line_id: str, if_match: int | None) -> dict[str, Any]:
    """Remove a line; the cart comes back.

    Raises:
        Refusal: see `change_cart`; `not_found`.
    """
    return change_cart(app, caller, lambda cart, _prices: rules.remove_line(cart, line_id), if_match=if_match)
