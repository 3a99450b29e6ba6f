"""Ask for an account and an organisation of one's own."""

from __future__ import annotations

from typing import Any

from accounts.bootstrap import App
from accounts.domain import emails
from accounts.domain.links import Purpose
from accounts.domain.new_passwords import check_new
from accounts.use_cases._links import check_limits, opened, want_link


def sign_up(
    app: App,
    *,
    email: str,
    name: str,
    organization_name: str,
    sealed_password: str,
    language: str,
    client_address: str,
) -> dict[str, Any]:
    """Note what somebody wants to sign up with. Nothing of it exists before the link in the mail is confirmed.

    Whoever has an account already gets a mail that says so; the answer and the work are the same.

    Args:
        app: the parts.
        email: the user name, as typed.
        name: the person's.
        organization_name: of the organisation that begins with this person as its admin.
        sealed_password: sealed for accounts by the gateway.
        language: of mails, as a BCP 47 tag.
        client_address: where the request came from.

    Raises:
        Refusal: `email_invalid`; `password_too_short`, `password_too_simple`, `password_unreadable`;
            `too_many_attempts`.
    """
    address, password = emails.accepted(email), opened(app, sealed_password)
    check_new(password, address)
    check_limits(app, Purpose.CONFIRMATION, address, client_address)
    values = {
        "name": name, "organization_name": organization_name, "password_hash": app.passwords.hash(password),
        "language": language,
    }  # fmt: skip
    want_link(app, Purpose.CONFIRMATION, address, client_address, values)
    return {}
