"""Mails as bytes: what the standard library's parser reads of them, whatever names and texts are in them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.mail import BadAddress, Mail, address_header, address_of, compose, one_line

# what a name or a text may hold: everything that a person, or somebody who means harm, can type
ANY_TEXT = st.text(max_size=40) | st.sampled_from(
    [
        "", "Ada", "Ada Lovelace", 'Ada "the Countess" Lovelace', "O'Brien, Ada; (x) <eve@evil.example>", "\\",
        "=?utf-8?q?=0D=0ABcc:_eve?=", "Ä" * 150, "名前 " * 40, "a" * 1200, "a b " * 40, "x\r\nBcc: eve@evil.example",
        "half \ud800 a pair", "\u202egnol", ". Ada", "😀" * 30,
    ]
)  # fmt: skip
ANY_SPEED = settings(deadline=None, max_examples=40)
MOMENT = datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC)


def composed(**changes: Any) -> Mail:
    values = {
        "message_id": "<dlv_1@punchcard.example>",
        "written_at": MOMENT,
        "sender": address_header("From", "Punchcard", "store@punchcard.example"),
        "display_name": "Ada",
        "recipient": "ada@acme.example",
        "subject": "Your card",
        "correlation_id": "cor_1",
        "language": "en",
        "text": "Hello\n",
        "html": "<p>Hello</p>\n",
    }
    return compose(**{**values, **changes})


def read(mail: Mail) -> EmailMessage:
    """As the strict parser reads it: a defect of the structure is an exception, one of a header fails here."""
    message = message_from_bytes(mail.content, policy=policy.SMTP.clone(raise_on_defect=True))
    assert isinstance(message, EmailMessage)
    assert [header.defects for header in message.values() if header.defects] == []
    return message


def display_name(mail: Mail) -> str:
    """The recipient's, by the older parser: the newer one puts blanks between encoded words (RFC 2047, 6.2)."""
    raw = message_from_bytes(mail.content)["To"].replace("\r\n", "")
    return str(make_header(decode_header(parseaddr(raw)[0])))


@ANY_SPEED
@given(name=ANY_TEXT, subject=ANY_TEXT, correlation_id=ANY_TEXT)
def test_headers_say_what_they_were_given_and_nothing_else(name: str, subject: str, correlation_id: str) -> None:
    mail = composed(display_name=name, subject=subject, correlation_id=correlation_id)
    message = read(mail)

    assert message.keys() == [
        "Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "X-Correlation-ID", "MIME-Version",
        "Content-Language", "Content-Type",
    ]  # fmt: skip
    assert [to.addr_spec for to in message["To"].addresses] == ["ada@acme.example"]
    assert display_name(mail) == one_line(one_line(name)[:100])
    assert message["Subject"] == one_line(subject)
    assert message["X-Correlation-ID"] == one_line(correlation_id)
    assert message["Message-ID"] == "<dlv_1@punchcard.example>"
    assert message["Date"].datetime == MOMENT


@ANY_SPEED
@given(text=ANY_TEXT, html=ANY_TEXT)
def test_both_parts_say_what_they_were_given(text: str, html: str) -> None:
    message = read(composed(text=one_line(text) + "\n.\n..\n", html=f"<p>{one_line(html)}</p>"))

    plain, rich = message.iter_parts()
    assert plain.get_content().splitlines() == [one_line(text), ".", ".."]
    assert rich.get_content().splitlines() == [f"<p>{one_line(html)}</p>"]
    assert (plain.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")


@ANY_SPEED
@given(name=ANY_TEXT, subject=ANY_TEXT, text=ANY_TEXT)
def test_the_bytes_are_what_any_mail_server_takes(name: str, subject: str, text: str) -> None:
    content = composed(display_name=name, subject=subject, text=one_line(text)).content

    assert content.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.endswith(b"\r\n")


def test_it_says_the_same_as_the_standard_library_would() -> None:
    ours = read(composed(display_name="Ada Löve", subject="Grüße", text="Grüße\n" + "x" * 1000, html="<p>x</p>"))
    theirs = EmailMessage(policy=policy.SMTP)
    theirs["Message-ID"] = "<dlv_1@punchcard.example>"
    theirs["Date"] = MOMENT
    theirs["From"] = Address("Punchcard", addr_spec="store@punchcard.example")
    theirs["To"] = Address("Ada Löve", addr_spec="ada@acme.example")
    theirs["Subject"] = "Grüße"
    theirs["Auto-Submitted"] = "auto-generated"
    theirs["X-Correlation-ID"] = "cor_1"
    theirs.set_content("Grüße\n" + "x" * 1000)
    theirs.add_alternative("<p>x</p>", subtype="html")
    theirs["Content-Language"] = "en"
    parsed = message_from_bytes(theirs.as_bytes(), policy=policy.SMTP)

    def said(message: Any) -> Any:
        headers = {name: value for name, value in message.items() if name != "Content-Type"}
        return headers, [(part.get_content_type(), part.get_content_charset(), part.get_content().strip())
                         for part in message.iter_parts()]  # fmt: skip

    assert said(ours) == said(parsed)


def test_the_same_mail_is_the_same_bytes() -> None:
    assert composed() == composed()
    assert composed() != composed(message_id="<dlv_2@punchcard.example>")


def test_a_text_that_holds_the_boundary_stays_one_text() -> None:
    first = composed()
    boundary = read(first).get_boundary()
    message = read(composed(text=f"--{boundary}\n--{boundary}_\n--{boundary}--\n"))

    plain, _ = message.iter_parts()
    assert plain.get_content().splitlines() == [f"--{boundary}", f"--{boundary}_", f"--{boundary}--"]


@ANY_SPEED
@given(st.text(alphabet='ab.@!#-_ "<>\\ä\r\n', max_size=12) | st.emails())
def test_an_address_is_what_the_standard_library_takes_for_one(text: str) -> None:
    """What the short way accepts, the parser accepts, and they agree about what it is."""
    try:
        found = address_of(text)
    except BadAddress:
        return
    assert Address(addr_spec=text).addr_spec == found
    assert found.isprintable()


@pytest.mark.parametrize(
    "text", ["ada@acme.example", "ada.l+x@sub.acme.example", '"ada l"@acme.example', "ada@äcme.example"]
)
def test_addresses(text: str) -> None:
    assert address_of(text) == text


def test_an_address_beyond_ascii_stands_in_the_header_as_it_is() -> None:
    mail = composed(recipient="ada@äcme.example", display_name="Ada")

    assert mail.is_international
    assert "To: Ada <ada@äcme.example>\r\n".encode() in mail.content
