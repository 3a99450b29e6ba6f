"""From a delivery to a mail: Jinja2 templates, one folder a language.

A kind of mail has three templates: ``<language>/<kind>.subject.txt``, ``.txt`` and ``.html``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from email.headerregistry import Address
from typing import Any

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from kernel.money import Money
from notifications.domain.deliveries import MailKind
from notifications.mail import Mail, address_header, compose, one_line
from notifications.messages import recipient_of

FALLBACK_LANGUAGE = "en"
_BRANDS = {"visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "discover": "Discover"}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")


class Renderer:
    """Makes mails.

    Args:
        sender: from whom they are.
        public_url: where the store is, without a slash at the end.
        templates: where the templates are; those of this package unless told.
    """

    def __init__(self, sender: Address, public_url: str, templates: BaseLoader | None = None) -> None:
        self._sender = address_header("From", sender.display_name, sender.addr_spec)
        self._public_url = public_url
        environment = Environment(
            loader=templates or PackageLoader("notifications"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # templates come with the release: nobody looks at their files for each mail
            cache_size=-1,  # nor forgets one
        )
        environment.filters.update(money=_money, day=_day, time=_time, brand=_brand)
        self._templates = {name: environment.get_template(name) for name in environment.list_templates()}

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
    ) -> Mail:
        """Make one mail.

        Args:
            kind: which templates.
            language: the recipient's; English if there are no templates in it.
            recipient: the address.
            data: what the templates show, as the kind's schema loaded it (and the claim code of a card, or the token of
                a link, in clear).
            message_id: the same for each attempt.
            correlation_id: of the request that caused the mail.
            written_at: its date.

        Raises:
            BadAddress: no mail can be addressed like that.
            jinja2.TemplateError: a defect in a template.
        """
        chosen = self._language(kind, language)
        values = {**_tidy(data), "store_url": self._public_url, "language": chosen}
        return compose(
            message_id=message_id,
            written_at=written_at,
            sender=self._sender,
            display_name=recipient_of(values)["name"],
            recipient=recipient,
            subject=self._part(chosen, f"{kind}.subject.txt", values),
            correlation_id=correlation_id,
            language=chosen,
            text=self._part(chosen, f"{kind}.txt", values),
            html=self._part(chosen, f"{kind}.html", values),
        )

    def _language(self, kind: MailKind, wanted: str) -> str:
        asked = wanted.lower().replace("_", "-")
        if _LANGUAGE.fullmatch(asked):
            for language in (asked, asked.partition("-")[0]):
                if f"{language}/{kind}.subject.txt" in self._templates:
                    return language
        return FALLBACK_LANGUAGE

    def _part(self, language: str, name: str, values: Mapping[str, Any]) -> str:
        return self._templates[f"{language}/{name}"].render(values)


def _tidy(value: Any) -> Any:
    """Every text in `value` as one line: a name must not write lines of its own into a mail."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return value


def _money(value: Mapping[str, Any]) -> str:
    return str(Money(value["amount_minor"], value["currency"]))


def _day(moment: date) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def _brand(word: str) -> str:
    return _BRANDS.get(word, word.title())
