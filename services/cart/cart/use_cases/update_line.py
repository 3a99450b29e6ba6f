"""Change a line of the cart."""

from __future__ import annotations

from typing import Any

from cart.bootstrap import App
from cart.domain import cart as rules
from cart.use_cases.change_cart import change_cart
from chassis.identity import Identity


def update_line(app: App, caller: Identity, *, line_id: str, if_match: int | None, **changes: Any) -> dict[str, Any]:
    """Set `quantity`, `deployment_id` or `credit_destination` of a line; what is not named stays, None clears.

    Raises:
        Refusal: see `change_cart`; `not_found`, `quantity_out_of_range`, `deployment_not_allowed`,
            `credit_destination_not_allowed`.
    """
    return change_cart(
        app,
        caller,
        lambda cart, _prices: rules.change_line(cart, line_id, changes),
        if_match=if_match,
        deployment_id=changes.get("deployment_id"),
    )
