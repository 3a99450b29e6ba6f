"""Payment card numbers: how to tell one, so that it can be refused wherever it must not be."""

from __future__ import annotations

import re

# ISO/IEC 7812: 13 to 19 digits for the brands in use, the first digit 2 to 6; people put spaces or hyphens between.
_CANDIDATE = re.compile(r"(?<![0-9A-Za-z])[2-6](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])")


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit)
        if position % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def contains_card_number(text: str) -> bool:
    """Whether a valid payment card number stands anywhere in the text."""
    return any(passes_luhn(re.sub(r"[ -]", "", found)) for found in _CANDIDATE.findall(text))


def brand_of(number: str) -> str:
    """The brand by prefix: ``visa``, ``mastercard``, ``amex``, ``discover`` or ``unknown``."""
    if number.startswith("4"):
        return "visa"
    if number[:2] in {"34", "37"}:
        return "amex"
    if "51" <= number[:2] <= "55" or "2221" <= number[:4] <= "2720":
        return "mastercard"
    if number.startswith(("6011", "65")):
        return "discover"
    return "unknown"
