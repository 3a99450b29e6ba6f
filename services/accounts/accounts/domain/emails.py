"""E-mail addresses, which are the user names."""

from __future__ import annotations

import re

from accounts.domain.text import folded
from kernel.errors import invalid

#: RFC 5321, 4.5.3.1.3: a path has at most 256 characters, two of them the angle brackets.
MAX_LENGTH = 254
# Only what a mail could be sent to at all: one @, something on either side, no blanks or control characters. Whether
# the mailbox exists, only a mail can tell.
_PLAUSIBLE = re.compile(r"[^@\s\x00-\x1f\x7f<>(),;:\"\\\[\]]+@[^@\s\x00-\x1f\x7f<>(),;:\"\\\[\]]+\.[^@\s.]+")


def normalised(address: str) -> str:
    """The address as it is stored and looked up: case folded, trimmed. Never refuses, so that a look-up cannot tell."""
    return folded(address).strip()  # in this order: folding a lone accent puts a blank before it


def accepted(address: str) -> str:
    """The normalised address of a new user.

    Raises:
        Refusal: `email_invalid`: no mail could be sent to it.
    """
    address = normalised(address)
    if len(address) > MAX_LENGTH or not _PLAUSIBLE.fullmatch(address):
        raise invalid("email_invalid", "This is not an e-mail address.", "email")
    return address
