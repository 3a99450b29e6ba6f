"""From a delivery to a mail: Jinja2 templates, one folder a language, and the headers around them.

A kind of mail has three templates: ``<language>/<kind>.subject.txt``, ``.txt`` and ``.html``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from kernel.money import Money
from notifications.domain.deliveries import MailKind

FALLBACK_LANGUAGE = "en"
_BRANDS = {"visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "discover": "Discover"}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")
# Control characters, line breaks of Unicode, and those that turn the direction of writing around.
_UNRULY = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_LONGEST_NAME = 100
_LONGEST_LINE = 998  # RFC 5322, 2.1.1


class BadAddress(Exception):  # a fact about the recipient
    """The recipient's address is none."""


class Renderer:
    """Makes mails.

    Args:
        sender: from whom they are.
        public_url: where the store is, without a slash at the end.
        templates: where the templates are; those of this package unless told.
    """

    def __init__(self, sender: Address, public_url: str, templates: BaseLoader | None = None) -> None:
        self._sender = sender
        self._public_url = public_url
        self._templates = Environment(
            loader=templates or PackageLoader("notifications"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(money=_money, day=_day, brand=_brand)
        self._known = frozenset(self._templates.list_templates())

    def render(
        self,
        kind: MailKind,
        *,
        language: str,
        recipient: str,
        data: Mapping[str, Any],
        message_id: str,
        correlation_id: str,
        written_at: datetime,
    ) -> EmailMessage:
        """Make one mail.

        Args:
            kind: which templates.
            language: the recipient's; English if there are no templates in it.
            recipient: the address.
            data: what the templates show, as the kind's schema loaded it (and the claim code in clear for a card).
            message_id: the same for each attempt.
            correlation_id: of the request that caused the mail.
            written_at: its date.

        Raises:
            BadAddress: no mail can be addressed like that.
            jinja2.TemplateError: a defect in a template.
        """
        chosen = self._language(kind, language)
        values = {**_tidy(data), "store_url": self._public_url, "language": chosen}
        message = EmailMessage(policy=SMTP)
        message["Message-ID"] = message_id
        message["Date"] = written_at
        message["From"] = self._sender
        message["To"] = _address(values["buyer"]["name"], recipient)
        message["Subject"] = one_line(self._part(chosen, f"{kind}.subject.txt", values))
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies, please
        message["X-Correlation-ID"] = one_line(correlation_id)
        text = self._part(chosen, f"{kind}.txt", values)
        html = self._part(chosen, f"{kind}.html", values)
        message.set_content(text, cte=_encoding(text))
        message.add_alternative(html, subtype="html", cte=_encoding(html))
        message["Content-Language"] = chosen  # last: headers of that name that were there would go into the first part
        return message

    def _language(self, kind: MailKind, wanted: str) -> str:
        asked = wanted.lower().replace("_", "-")
        if _LANGUAGE.fullmatch(asked):
            for language in (asked, asked.partition("-")[0]):
                if f"{language}/{kind}.subject.txt" in self._known:
                    return language
        return FALLBACK_LANGUAGE

    def _part(self, language: str, name: str, values: Mapping[str, Any]) -> str:
        return self._templates.get_template(f"{language}/{name}").render(values)


def one_line(text: str) -> str:
    """`text` without what could end a line or a header, or hide what follows."""
    return " ".join(_UNRULY.sub(" ", text).split())


def _tidy(value: Any) -> Any:
    """Every text in `value` as one line: a name must not write lines of its own into a mail."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return value


def _address(name: str, recipient: str) -> Address:
    try:
        address = Address(name[:_LONGEST_NAME], addr_spec=recipient)
    except (ValueError, IndexError, MessageError) as error:
        raise BadAddress(type(error).__name__) from error
    if not address.username or not address.domain:
        raise BadAddress("incomplete")
    return address


def _encoding(text: str) -> str:
    # as it is where it may be: whoever looks at the raw mail can read it
    plain = text.isascii() and all(len(line) <= _LONGEST_LINE for line in text.splitlines())
    return "7bit" if plain else "quoted-printable"


def _money(value: Mapping[str, Any]) -> str:
    return str(Money(value["amount_minor"], value["currency"]))


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _brand(word: str) -> str:
    return _BRANDS.get(word, word.title())
