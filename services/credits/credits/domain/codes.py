"""Card numbers and claim codes: how they are made, read and checked.

Both are Crockford base 32 (`kernel.base32`) in groups that each hold a letter, so that none of them can be mistaken for
a payment card number. The number is public. The code is the secret of a bearer card: whoever shows both may claim.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from kernel import base32

NUMBER_PREFIX = "SCC"
_NUMBER_SYMBOLS, _NUMBER_GROUP = 12, 4
#: 23 random symbols are 115 bits (at least 100 are asked for; drawing again costs less than one), and a check symbol.
_CODE_SYMBOLS, _CODE_GROUP = 24, 6
_BITS_PER_SYMBOL = 5


def new_number() -> str:
    """A card number such as ``SCC-7K2M-Q9TX-04HB``. Random: the database refuses the one in 2**60 that exists."""
    while True:
        symbols = base32.encode(secrets.randbits(_NUMBER_SYMBOLS * _BITS_PER_SYMBOL), _NUMBER_SYMBOLS)
        if _each_group_has_a_letter(symbols, _NUMBER_GROUP):
            return f"{NUMBER_PREFIX}-{_grouped(symbols, _NUMBER_GROUP)}"


def canonical_number(text: str) -> str:
    """The number that a person meant, as `new_number` writes it; empty if it cannot be one.

    Case, spaces and punctuation do not matter, O is 0, I and L are 1, and the prefix may be missing.
    """
    symbols = _symbols(text)
    if len(symbols) == len(NUMBER_PREFIX) + _NUMBER_SYMBOLS:
        symbols = symbols.removeprefix(NUMBER_PREFIX)
    if len(symbols) != _NUMBER_SYMBOLS or not set(symbols) <= set(base32.ALPHABET):
        return ""
    return f"{NUMBER_PREFIX}-{_grouped(symbols, _NUMBER_GROUP)}"


def masked(number: str) -> str:
    """The number as it may be shown: its last four symbols only."""
    return f"{NUMBER_PREFIX}-****-****-{number[-4:]}"


def new_claim_code() -> str:
    """A claim code such as ``4T9KQ2-...``: four groups of six, the last symbol a check symbol.

    Codes whose check symbol is not a plain letter or digit are drawn again: the others (``*~$=``) do not survive being
    copied from a mail.
    """
    bits = (_CODE_SYMBOLS - 1) * _BITS_PER_SYMBOL
    while True:
        value = secrets.randbits(bits)
        check = base32.check_symbol(value)
        symbols = base32.encode(value, _CODE_SYMBOLS - 1) + check
        if check in base32.ALPHABET and _each_group_has_a_letter(symbols, _CODE_GROUP):
            return _grouped(symbols, _CODE_GROUP)


def code_mac(pepper: bytes, number: str, code: str) -> str:
    """What is kept of a claim code: HMAC-SHA256 with the pepper over the number and the code, as hexadecimal digits.

    A typed code is only normalised, not checked: a malformed one costs the same work as a wrong one and fails alike.

    Args:
        pepper: a secret outside of the database, so that a dump alone cannot be searched for codes.
        number: the card's, canonical; binds the code to its card.
        code: as made or as typed.
    """
    return hmac.new(pepper, f"{number}:{_symbols(code)}".encode(), hashlib.sha256).hexdigest()


def same_mac(one: str, other: str) -> bool:
    """Whether two are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(one, other)


def _symbols(text: str) -> str:
    return base32.normalise("".join(character for character in text if character.isalnum()))


def _grouped(symbols: str, size: int) -> str:
    return "-".join(_groups(symbols, size))


def _groups(symbols: str, size: int) -> list[str]:
    return [symbols[start : start + size] for start in range(0, len(symbols), size)]


def _each_group_has_a_letter(symbols: str, size: int) -> bool:
    return not any(group.isdigit() for group in _groups(symbols, size))
