"""The service that payments asks. Each method is one RPC; none may be called inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.rpc.client import RpcClient
from payments import messages


class Cart:
    """Asks cart."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def paid_orders(self, order_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Those of the orders that are paid, each as ``cart.order_paid.v1`` says it.

        Raises:
            Refusal: `unavailable` and whatever else is not an answer.
        """
        reply = self._rpc.call("cart", "paid_orders", {"order_ids": list(order_ids)}, reply=messages.PaidOrders())
        orders: list[dict[str, Any]] = reply["items"]
        return orders
