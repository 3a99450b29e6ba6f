"""Carts, orders, and the checkout that takes an order from placed to fulfilled."""
