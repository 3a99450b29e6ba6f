"""A mail as it goes out: RFC 5322 headers and two readings of one text (RFC 2046, multipart/alternative).

Written by hand rather than by `email.message.EmailMessage`, which takes 20 times as long: it parses every header that
it is given into a tree, and the whole mail is made of texts that are one line each (`one_line`) and of addresses that
were looked at (`address_of`). The tests read the result with the standard library's parser and compare.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.utils import format_datetime

_CRLF = "\r\n"
# Control characters, line breaks of Unicode, those that turn the direction of writing around, halves of surrogate
# pairs (which no charset can write).
_UNRULY = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_PLAIN_PHRASE = re.compile(rf"{_ATOM}(?: {_ATOM})*")
_LONGEST_NAME = 100
_LONGEST_LINE = 998  # RFC 5322, 2.1.1
_GOOD_LINE = 78  # the same: what it should be at most
_ENCODED_WORD = "=?"  # RFC 2047: how something begins that readers decode


class BadAddress(Exception):  # a fact about the recipient
    """The recipient's address is none."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A complete mail.

    Args:
        message_id: the same for each attempt.
        recipient: the address that it goes to.
        content: headers and body, lines ending in CRLF.
    """

    message_id: str
    recipient: str
    content: bytes = field(repr=False)

    @property
    def is_international(self) -> bool:
        """Whether only a server with SMTPUTF8 can take it (RFC 6531): the address stands in its headers as it is."""
        return not self.recipient.isascii()


def one_line(text: str) -> str:
    """`text` without what could end a line or a header, or hide what follows."""
    return " ".join(_UNRULY.sub(" ", text).split())


def address_of(text: str) -> str:
    """The address that stands in `text`.

    Raises:
        BadAddress: no mail can be addressed like that.
    """
    if _PLAIN_ADDRESS.fullmatch(text):
        return text
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError, MessageError) as error:
        raise BadAddress(type(error).__name__) from error
    if not address.username or not address.domain or not address.addr_spec.isprintable():
        raise BadAddress("incomplete")
    return address.addr_spec


def address_header(name: str, display_name: str, address: str) -> str:
    """The line of ``From`` or ``To``.

    Args:
        name: of the header.
        display_name: whose address it is, one line; may be empty.
        address: as `address_of` gives it.
    """
    phrase = _phrase(name, display_name[:_LONGEST_NAME].strip())
    if not phrase:
        return f"{name}: {address}"
    line = f"{name}: {phrase} <{address}>"
    return line if len(line) <= _GOOD_LINE else f"{name}: {phrase}{_CRLF} <{address}>"


def text_header(name: str, text: str) -> str:
    """The line, or lines, of a header without a grammar of its own; `text` is one line."""
    line = f"{name}: {text}"
    if len(line) <= _GOOD_LINE and text.isascii() and _ENCODED_WORD not in text:
        return line
    return f"{name}: {_encoded(name, text)}"


def compose(
    *,
    message_id: str,
    written_at: datetime,
    sender: str,
    display_name: str,
    recipient: str,
    subject: str,
    correlation_id: str,
    language: str,
    text: str,
    html: str,
) -> Mail:
    """Put a mail together. The same arguments make the same bytes: a mail that is sent again is the same mail.

    Args:
        message_id: the same for each attempt.
        written_at: its date.
        sender: the ``From`` line, by `address_header`.
        display_name: the recipient's name.
        recipient: the address.
        subject: what it is about.
        correlation_id: of the request that caused it.
        language: of its text.
        text, html: what it says.

    Raises:
        BadAddress: no mail can be addressed like that.
    """
    address = address_of(recipient)
    parts = _part("plain", text), _part("html", html)
    boundary = _boundary(message_id, parts)
    lines = [
        f"Message-ID: {one_line(message_id)}",
        f"Date: {format_datetime(written_at)}",
        sender,
        address_header("To", one_line(display_name), address),
        text_header("Subject", one_line(subject)),
        "Auto-Submitted: auto-generated",  # RFC 3834: no out-of-office replies, please
        text_header("X-Correlation-ID", one_line(correlation_id)),
        "MIME-Version: 1.0",
        f"Content-Language: {language}",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        *(f"--{boundary}{_CRLF}{part}" for part in parts),
        f"--{boundary}--",
        "",
    ]
    return Mail(message_id, address, _CRLF.join(lines).encode())


def _phrase(header: str, name: str) -> str:
    if not name or (_PLAIN_PHRASE.fullmatch(name) and _ENCODED_WORD not in name):
        return name
    if name.isascii() and _ENCODED_WORD not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return _encoded(header, name)


def _encoded(header: str, text: str) -> str:
    return Header(text, "utf-8", header_name=header).encode(linesep=_CRLF)


def _part(subtype: str, content: str) -> str:
    lines = content.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n") + "\n"
    # as it is where it may be: whoever looks at the raw mail can read it
    if lines.isascii() and max(map(len, lines.split("\n"))) <= _LONGEST_LINE:
        encoding = "7bit"
    else:
        encoding = "quoted-printable"
        lines = binascii.b2a_qp(lines.encode()).decode("ascii")
    return _CRLF.join(
        (
            f'Content-Type: text/{subtype}; charset="utf-8"',
            f"Content-Transfer-Encoding: {encoding}",
            "",
            lines.replace("\n", _CRLF),
        )
    )


def _boundary(message_id: str, parts: tuple[str, ...]) -> str:
    boundary = f"=_{hashlib.sha256(message_id.encode()).hexdigest()[:32]}"
    while any(boundary in part for part in parts):  # nobody can guess it, and nobody needs to believe that
        boundary += "_"
    return boundary
