"""What to tell the payer about a decline: what happened and what to do, nothing that helps a thief."""

from __future__ import annotations

from payments.domain.remittances import OVERDUE

GENERIC = "card_declined"

#: Our stable decline codes, each with a sentence a person can act on. Every one ends with the money where it was.
MESSAGES: dict[str, str] = {
    GENERIC: "Your bank declined this card. Use another card, or ask your bank and try again.",
    "insufficient_funds": "The card does not have enough funds for this order. Use another card.",
    "expired_card": "The card has expired. Use another card.",
    "incorrect_number": "The card number is wrong. Check it and enter the card again.",
    "incorrect_cvc": "The security code is wrong. Check it and enter the card again.",
    "card_not_supported": "This card cannot be used for this purchase. Use another card.",
    "currency_not_supported": "This card cannot pay in the currency of the order. Use another card.",
    "limit_exceeded": "The order is above the limit of this card. Ask your bank to raise it, or use another card.",
    "token_already_used": "These card details were used for a payment before. Enter the card again.",
    "token_expired": "The card details were entered too long ago. Enter the card again.",
    "token_unknown": "The payment provider does not know these card details. Enter the card again.",
    "processing_error": "The payment provider could not handle this payment. You were not charged. Try again.",
    "authentication_failed": "The payment was not confirmed with your bank. You were not charged. Try again.",
    "authentication_expired": "The payment was not confirmed with your bank in time. You were not charged. Try again.",
    OVERDUE: "The money did not arrive in time, so the order was cancelled. Order again to pay now.",
}


def decline_code(provider_code: str) -> str:
    """Our code for a provider's; one that we do not know (or will not repeat: lost, stolen, fraud) is the generic."""
    return provider_code if provider_code in MESSAGES else GENERIC


def decline(code: str) -> dict[str, str]:
    """A stored decline as callers see it: ``{"code", "message"}``."""
    known = decline_code(code)
    return {"code": known, "message": MESSAGES[known]}
