"""Whom a card is for, if not for whoever has it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOMAIN = re.compile(r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}\Z")


@dataclass(frozen=True, slots=True)
class Binding:
    """Who may claim: one organisation, or whoever has a mail address at one domain; both None: anybody.

    Args:
        organization_number: the number that organisations are known by.
        mail_domain: in lower case; its subdomains are other domains.
    """

    organization_number: str | None = None
    mail_domain: str | None = None

    def allows(self, organization_number: str, email: str) -> bool:
        """Whether somebody may claim.

        Args:
            organization_number: of the organisation for which they would claim; empty if it is not known.
            email: theirs, which accounts has confirmed.
        """
        if self.organization_number is not None:
            return self.organization_number == organization_number
        if self.mail_domain is not None:
            return email.lower().rpartition("@")[2] == self.mail_domain
        return True


def is_mail_domain(text: str) -> bool:
    """Whether a text, in lower case, can stand behind the @ of a mail address; other scripts as xn--."""
    return _DOMAIN.match(text) is not None
