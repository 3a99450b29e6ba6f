"""Mails over SMTP (RFC 5321): plain, over TLS from the start, or with STARTTLS."""

from __future__ import annotations

import contextlib
import functools
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage

from notifications.domain.deliveries import FailureKind
from notifications.settings import MailServer
from notifications.transports.base import NotSent

_PERMANENT = 500  # RFC 5321, 4.2.1: 5yz is a permanent negative completion
_CLOSING = 421  # RFC 5321, 4.2.3: the server closes the connection, after so many mails for one


class _Smtp(smtplib.SMTP):
    """Waits for replies until a moment, rather than for so long each."""

    #: `time.monotonic()` seconds.
    deadline: float

    def getreply(self) -> tuple[int, bytes]:
        if self.sock is not None:
            self.sock.settimeout(_left(self.deadline))
        return super().getreply()


class _SmtpOverTls(smtplib.SMTP_SSL, _Smtp):
    """The same over TLS."""


class SmtpTransport:
    """Hands mails to a mail server.

    Args:
        server: which, and how to sign in.
        envelope_sender: the address that it reports failures to.
        timeout_s: for one mail, from connecting to the server's last reply, in seconds.
    """

    def __init__(self, server: MailServer, envelope_sender: str, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._server = server
        self._envelope_sender = envelope_sender
        # what we trust; made once and only where TLS is spoken, since reading all certificates takes 10 ms and more
        self._tls = functools.cache(ssl.create_default_context)

    @contextmanager
    def session(self) -> Iterator[SmtpSession]:
        """A connection for a round of mails, made when the first is sent."""
        session = SmtpSession(self._server, self._envelope_sender, self.timeout_s, self._tls)
        try:
            yield session
        finally:
            session.close()


class SmtpSession:
    """One connection at a time; a broken one is replaced for the next mail."""

    def __init__(
        self, server: MailServer, envelope_sender: str, timeout_s: float, tls: Callable[[], ssl.SSLContext]
    ) -> None:
        self._server = server
        self._envelope_sender = envelope_sender
        self._timeout_s = timeout_s
        self._tls = tls
        self._connection: _Smtp | None = None

    def send(self, message: EmailMessage, recipient: str) -> None:
        """Hand over one mail; over the connection of the one before if that still stands.

        Raises:
            NotSent: `unreachable`: there is no mail server to talk to, or it does not let us in. `refused`: it will
                never take this mail. `deferred`: anything else.
        """
        deadline = time.monotonic() + self._timeout_s
        reused = self._connection is not None and self._connection.sock is not None
        try:
            self._send(message, recipient, deadline)
        except smtplib.SMTPSenderRefused as error:
            if not reused or error.smtp_code != _CLOSING:
                raise NotSent(FailureKind.DEFERRED, _named(error)) from error
            self.close()  # nothing of the mail has been said yet: the next connection may have it at once
            self._retry(message, recipient, deadline)

    def close(self) -> None:
        """Say goodbye, if anybody is there."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                connection.quit()
            connection.close()

    def _retry(self, message: EmailMessage, recipient: str, deadline: float) -> None:
        try:
            self._send(message, recipient, deadline)
        except smtplib.SMTPSenderRefused as error:
            raise NotSent(FailureKind.DEFERRED, _named(error)) from error

    def _send(self, message: EmailMessage, recipient: str, deadline: float) -> None:
        connection = self._connected(deadline)
        try:
            connection.send_message(message, self._envelope_sender, [recipient])
        except smtplib.SMTPSenderRefused:
            raise
        except smtplib.SMTPRecipientsRefused as error:
            code = next((code for code, _ in error.recipients.values()), 0)
            raise NotSent(_verdict(code), f"{type(error).__name__} {code}") from error
        except smtplib.SMTPDataError as error:
            raise NotSent(_verdict(error.smtp_code), _named(error)) from error
        except smtplib.SMTPNotSupportedError as error:  # an address beyond ASCII, and a server without SMTPUTF8
            raise NotSent(FailureKind.REFUSED, type(error).__name__) from error
        except (smtplib.SMTPException, OSError) as error:
            # the connection broke or the time is up: perhaps the server has the mail, perhaps not
            self._abandon()
            raise NotSent(FailureKind.DEFERRED, type(error).__name__) from error

    def _connected(self, deadline: float) -> _Smtp:
        if self._connection is None or self._connection.sock is None:
            self._abandon()
            try:
                self._connection = self._connect(deadline)
            except (smtplib.SMTPException, OSError) as error:
                self._abandon()
                raise NotSent(FailureKind.UNREACHABLE, _named(error)) from error
        self._connection.deadline = deadline
        return self._connection

    def _connect(self, deadline: float) -> _Smtp:
        server = self._server
        # Our name for EHLO: without one smtplib asks the DNS for it, which may take long and says nothing useful.
        name = self._envelope_sender.rpartition("@")[2]
        connection = (
            _SmtpOverTls(local_hostname=name, timeout=_left(deadline), context=self._tls())
            if server.scheme == "smtps"
            else _Smtp(local_hostname=name, timeout=_left(deadline))
        )
        self._connection = connection  # so that whatever goes wrong from here on closes it
        connection.deadline = deadline
        # What TLS checks the certificate against. smtplib takes it from the constructor, which connects at once, when
        # there is no deadline to keep yet.
        connection._host = server.host  # type: ignore[attr-defined]
        code, _ = connection.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, "")
        if server.scheme == "smtp+starttls":
            connection.starttls(context=self._tls())
        if server.user:
            connection.login(server.user, server.password)
        return connection

    def _abandon(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())  # zero would mean "do not wait at all"


def _verdict(code: int) -> FailureKind:
    return FailureKind.REFUSED if code >= _PERMANENT else FailureKind.DEFERRED


def _named(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"
