"""The rules of carts and orders: pure Python, no transport, no storage."""
