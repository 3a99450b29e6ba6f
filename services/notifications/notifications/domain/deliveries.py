"""What a delivery is, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: After the first failure; doubled after each further one.
FIRST_DELAY = timedelta(seconds=5)
#: While the mail server refuses this one mail for now (greylisting, a full mailbox).
LONGEST_DELAY = timedelta(hours=1)
#: While the mail server cannot be reached at all: once it is back, the mails must not wait for long
#: (reliability, the invariant: quiet within 60 s).
LONGEST_DELAY_UNREACHABLE = timedelta(seconds=30)
#: RFC 5321, 4.5.4.1: "the give-up time generally needs to be at least 4-5 days".
GIVE_UP_AFTER = timedelta(days=5)

#: A receipt names the invoice, which is numbered some milliseconds after the payment. Less than any sender's lease: it
#: must not be taken for a time of a clock that was wrong.
LONGEST_WAIT_FOR_INVOICE = timedelta(seconds=15)


class MailKind(StrEnum):
    """What a mail says; names its templates. Stored: never rename one."""

    RECEIPT = "receipt"
    CARD = "card"
    CARD_REISSUED = "card_reissued"
    CARD_CLAIMED = "card_claimed"
    CARD_EXPIRING = "card_expiring"
    BALANCE_LOW = "balance_low"
    PAYMENT_INSTRUCTIONS = "payment_instructions"
    PAYMENT_REMINDER = "payment_reminder"
    PAYMENT_RECEIVED = "payment_received"
    REFUND = "refund"
    TICKET_OPENED = "ticket_opened"
    TICKET_ANSWERED = "ticket_answered"
    TICKET_OVERRUN = "ticket_overrun"
    TICKET_CLOSED = "ticket_closed"
    TICKET_DEFECT = "ticket_defect"
    QUOTE = "quote"
    QUOTE_EXPIRING = "quote_expiring"
    CONFIRMATION = "confirmation"
    PASSWORD_RESET = "password_reset"  # noqa: S105  # the name of a mail
    INVITATION = "invitation"
    SIGN_UP_REPEATED = "sign_up_repeated"
    INVITATION_IMPOSSIBLE = "invitation_impossible"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # the name of a mail


#: What accounts.notice_issued.v1 may ask for; its purposes are the kinds.
ACCOUNT_MAILS = (
    MailKind.CONFIRMATION, MailKind.PASSWORD_RESET, MailKind.INVITATION, MailKind.SIGN_UP_REPEATED,
    MailKind.INVITATION_IMPOSSIBLE, MailKind.PASSWORD_CHANGED,
)  # fmt: skip


class State(StrEnum):
    """Where a delivery is. Stored: never rename one."""

    QUEUED = "queued"  # to be sent at next_attempt_at, or being sent until then
    SENT = "sent"  # the mail server has taken it
    FAILED = "failed"  # refused for good, or given up


class FailureKind(StrEnum):
    """What a failure means for the mail."""

    UNREACHABLE = "unreachable"  # nobody to hand any mail to
    DEFERRED = "deferred"  # not this mail, not now
    REFUSED = "refused"  # never this mail


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a mail was not sent.

    Args:
        kind: what it means for the mail.
        error: the class of the error, with the SMTP code if there is one; never an address or a body.
    """

    kind: FailureKind
    error: str


def cause_of(kind: MailKind, subject_id: str) -> str:
    """What a mail is about, such as ``card:scc_01HF...``: there is one mail for each, whatever is redelivered."""
    return f"{kind}:{subject_id}"


def message_id_of(delivery_id: str, domain: str) -> str:
    """The Message-ID of a delivery, the same for every attempt, so that mail clients show a repeated mail once."""
    return f"<{delivery_id}@{domain}>"


def after_failure(failure: Failure, attempts: int, queued_at: datetime, now: datetime) -> tuple[State, datetime]:
    """What becomes of a delivery that failed.

    Args:
        failure: why.
        attempts: how many there were, this one included; 1 or more.
        queued_at: when the delivery was asked for.
        now: the present moment.

    Returns:
        Its state, and when to try again (if it is still queued).
    """
    if failure.kind is FailureKind.REFUSED or now - queued_at >= GIVE_UP_AFTER:
        return State.FAILED, now
    longest = LONGEST_DELAY_UNREACHABLE if failure.kind is FailureKind.UNREACHABLE else LONGEST_DELAY
    doublings = min(attempts - 1, 16)  # 5 s doubled 16 times is days: beyond any longest delay
    return State.QUEUED, now + min(FIRST_DELAY * 2**doublings, longest)
