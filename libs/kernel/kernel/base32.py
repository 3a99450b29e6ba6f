"""Crockford's base 32: digits people can read aloud and type.

Source of the rules: https://www.crockford.com/base32.html (excludes I, L, O, U; decoding maps O to 0 and I, L to 1;
case and hyphens do not matter; the check symbol is the value modulo 37).
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECK_ALPHABET = ALPHABET + "*~$=U"
_LOOK_ALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "\t": None})
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}


def encode(value: int, length: int) -> str:
    """Write `value` with exactly `length` symbols.

    Raises:
        ValueError: the value is negative or does not fit.
    """
    if value < 0 or value >= 32**length:
        raise ValueError(f"the value does not fit into {length} symbols")
    symbols = []
    for _ in range(length):
        value, digit = divmod(value, 32)
        symbols.append(ALPHABET[digit])
    return "".join(reversed(symbols))


def decode(text: str) -> int:
    """Read normalised symbols.

    Raises:
        ValueError: a symbol is not of the alphabet, or there is none.
    """
    if not text:
        raise ValueError("there is nothing to decode")
    value = 0
    for symbol in text:
        if symbol not in _VALUES:
            raise ValueError("a symbol is not of the alphabet")
        value = value * 32 + _VALUES[symbol]
    return value


def check_symbol(value: int) -> str:
    """The check symbol of a value: one wrong or two swapped symbols change it."""
    return CHECK_ALPHABET[value % 37]


def normalise(text: str) -> str:
    """What a person typed, as symbols: upper case, no spaces or hyphens, look-alikes mapped."""
    return text.strip().upper().translate(_LOOK_ALIKES)
