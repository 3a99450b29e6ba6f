"""The payment reference that a payer writes on a wire or a check: the RF creditor reference of ISO 11649.

``RF``, two check digits, then up to 21 letters and digits: here the order's number, which people recognise. Banks check
the digits (ISO 7064, modulo 97): one wrong symbol or two swapped ones do not make another order's reference.
"""

from __future__ import annotations

_LONGEST = 21


def reference_of(order_number: str) -> str:
    """The reference of an order's payment, such as ``RF84PC2026000123``.

    Args:
        order_number: for people; unique. What is neither letter nor digit is left out.

    Raises:
        ValueError: nothing is left, or too much for a reference.
    """
    body = normalised(order_number)
    if not 1 <= len(body) <= _LONGEST:
        raise ValueError("an order number of 1 to 21 letters and digits is needed")
    return f"RF{98 - _remainder(body + 'RF00'):02d}{body}"


def normalised(text: str) -> str:
    """What a person typed or a bank printed, as letters and digits in upper case."""
    return "".join(symbol for symbol in text.upper() if symbol.isascii() and symbol.isalnum())


def is_reference(text: str) -> bool:
    """Whether a normalised text is a reference, by its check digits."""
    return (
        5 <= len(text) <= 4 + _LONGEST
        and text.startswith("RF")
        and text[2:4].isdigit()
        and _remainder(text[4:] + text[:4]) == 1
    )


def _remainder(text: str) -> int:
    # A letter stands for two digits: A is 10, Z is 35.
    return int("".join(str(int(symbol, 36)) for symbol in text)) % 97
