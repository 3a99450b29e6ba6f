"""What a transport is, and how it says that it could not send."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from notifications.domain.deliveries import Failure, FailureKind
from notifications.mail import Mail


class NotSent(Exception):  # an outcome, named as the use case reads it
    """The mail was not handed over.

    Args:
        kind: what it means for the mail.
        error: the class of the error, with the SMTP code if there is one; never an address or a body.
    """

    def __init__(self, kind: FailureKind, error: str) -> None:
        super().__init__(f"{kind}: {error}")
        self.failure = Failure(kind, error)


class Session(Protocol):
    """A round of mails that may share a connection."""

    def send(self, mail: Mail) -> None:
        """Hand over one mail.

        Raises:
            NotSent: it was not accepted, or nobody knows whether it was.
        """
        ...


class Transport(Protocol):
    """A way for mails to leave."""

    #: Within so many seconds a `Session.send` has come to an end, connecting included.
    timeout_s: float

    def session(self) -> AbstractContextManager[Session]:
        """A round of mails; it connects when the first is sent, unless a connection of a round before is still open."""
        ...
