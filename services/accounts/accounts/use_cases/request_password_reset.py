"""Ask for a new password."""

from __future__ import annotations

from typing import Any

from accounts.bootstrap import App
from accounts.domain import emails
from accounts.domain.links import Purpose
from accounts.use_cases._links import check_limits, want_link


def request_password_reset(app: App, *, email: str, client_address: str) -> dict[str, Any]:
    """Note that somebody has forgotten a password. If the address is a user's, a mail with a link follows.

    Args:
        app: the parts.
        email: the user name, as typed.
        client_address: where the request came from.

    Raises:
        Refusal: `email_invalid`: it is nobody's for certain; `too_many_attempts`.
    """
    address = emails.accepted(email)
    check_limits(app, Purpose.PASSWORD_RESET, address, client_address)
    want_link(app, Purpose.PASSWORD_RESET, address, client_address, {})
    return {}
