"""Payments: intents and attempts, and what the payment provider really did about them."""
