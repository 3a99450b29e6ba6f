"""Links in mails: what each lets its reader do once, and for how long."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from kernel.errors import Refusal, invalid


class Purpose(StrEnum):
    """What a link lets its reader do. Stored: never rename one."""

    CONFIRMATION = "confirmation"  # begin the organisation that was signed up
    PASSWORD_RESET = "password_reset"  # noqa: S105  # the name of a purpose
    INVITATION = "invitation"  # become a user of the organisation that invites


class Notice(StrEnum):
    """A mail without a link."""

    SIGN_UP_REPEATED = "sign_up_repeated"  # somebody has signed up with the address of a user
    INVITATION_IMPOSSIBLE = "invitation_impossible"  # a user of one organisation was invited by another
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # the name of a notice


#: From the moment the mail is made.
LIFETIME = {
    Purpose.CONFIRMATION: timedelta(days=2),
    Purpose.PASSWORD_RESET: timedelta(hours=1),
    Purpose.INVITATION: timedelta(days=7),
}


def token_invalid() -> Refusal:
    """The one answer to a token that is unknown, used, withdrawn or expired."""
    return invalid("token_invalid", "This link is not valid, or not any more. Ask for a new one.")
