"""The test cards, by number, and the well-known test tokens that stand for them."""

from __future__ import annotations

from enum import StrEnum


class Behaviour(StrEnum):
    """What becomes of a charge. Stored in the book: never rename."""

    SUCCESS = "success"
    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    SLOW = "slow"  # charged, the answer takes a few seconds
    TIMEOUT = "timeout"  # charged, the answer comes when nobody waits any more
    DISPUTED = "disputed"  # charged, and then the payer has their bank take it back
    THREE_D_SECURE = "3ds"  # charged once the payer has confirmed it on the provider's page


#: The numbers that payment providers commonly publish for tests; none belongs to anybody.
TEST_CARDS: dict[str, Behaviour] = {
    "4242424242424242": Behaviour.SUCCESS,
    "4111111111111111": Behaviour.SUCCESS,
    "5555555555554444": Behaviour.SUCCESS,
    "2223003122003222": Behaviour.SUCCESS,
    "378282246310005": Behaviour.SUCCESS,
    "371449635398431": Behaviour.SUCCESS,
    "6011111111111117": Behaviour.SUCCESS,
    "4000000000000002": Behaviour.DECLINED,
    "4000000000009995": Behaviour.INSUFFICIENT_FUNDS,
    "4000000000000101": Behaviour.SLOW,
    "4000000000000119": Behaviour.TIMEOUT,
    "4000000000003220": Behaviour.THREE_D_SECURE,
    "4000000000000259": Behaviour.DISPUTED,
}

#: Tokens that can be used any number of times, one charge a use: by behaviour.
PROVIDER_TOKENS: dict[str, str] = {str(behaviour): f"tok_test_{behaviour}" for behaviour in Behaviour}

#: The reasons for which the book refuses, with the provider's own words.
REFUSALS: dict[str, str] = {
    "card_declined": "The card was declined.",
    "insufficient_funds": "The card has insufficient funds.",
    "expired_card": "The card has expired.",
    "token_already_used": "The token was used before; it is good for one charge.",
    "token_expired": "The token is too old.",
    "token_unknown": "There is no such token.",
    "authentication_failed": "The payer did not confirm the payment.",
    "authentication_expired": "The payer did not confirm the payment in time.",
    "charge_unknown": "There is no such charge, or it took no money.",
    "charge_disputed": "The payer's bank has taken this charge back, or may; it cannot be refunded as well.",
    "refund_exceeds_charge": "More is to be given back than is left of the charge.",
}

#: What cards of a behaviour are refused for; the others are charged.
REFUSED_FOR: dict[Behaviour, str] = {
    Behaviour.DECLINED: "card_declined",
    Behaviour.INSUFFICIENT_FUNDS: "insufficient_funds",
}


def security_code_length(brand: str) -> int:
    """Digits of the security code: American Express prints 4 on the front, the others 3 on the back."""
    return 4 if brand == "amex" else 3
