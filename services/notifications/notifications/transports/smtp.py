"""Mails over SMTP (RFC 5321): plain, over TLS from the start, or with STARTTLS.

smtplib connects, greets and signs in. A mail itself is two messages to the server and two from it where the server
takes commands in one go (RFC 2920, PIPELINING): sender, recipient and DATA; then the content.
"""

from __future__ import annotations

import contextlib
import functools
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from notifications.domain.deliveries import FailureKind
from notifications.mail import Mail
from notifications.settings import MailServer
from notifications.transports.base import NotSent

_GO_ON = 354
_PERMANENT = 500  # RFC 5321, 4.2.1: 5yz is a permanent negative completion
_CLOSING = 421  # RFC 5321, 4.2.3: the server closes the connection, after so many mails for one

#: Seconds for which a connection is kept for the next round. Servers wait for minutes (RFC 5321, 4.5.3.2.7: 5 of them);
#: one that has hung up meanwhile costs a new connection and nothing else.
IDLE_S = 10.0
#: Seconds that the server may take to say goodbye.
_GOODBYE_S = 1.0


class _NothingSent(Exception):  # an outcome, and not the caller's
    """A connection that was kept turned out to be closed before any of the content was sent."""


class _Smtp(smtplib.SMTP):
    """Waits for replies until a moment, rather than for so long each; says what belongs together in one go."""

    #: `time.monotonic()` seconds.
    deadline: float

    def getreply(self) -> tuple[int, bytes]:
        if self.sock is not None:
            self.sock.settimeout(_left(self.deadline))
        return super().getreply()

    def envelope(self, commands: list[str]) -> list[int]:
        """Say the commands of one mail up to DATA.

        Returns:
            The codes of the replies; fewer than commands if one of them ends the connection or, where the server takes
            one command at a time, if one of them was refused.
        """
        lines = [f"{command}\r\n".encode(self.command_encoding) for command in commands]
        together = self.has_extn("pipelining")
        if together:
            self.send(b"".join(lines))
        codes: list[int] = []
        for line in lines:
            if not together:
                self.send(line)
            codes.append(self.getreply()[0])
            if codes[-1] == _CLOSING or not (together or _goes_on(codes[-1])):
                break
        return codes

    def content(self, data: bytes) -> int:
        """Say the content, to a server that said to go on; the code of its reply."""
        if data.startswith(b"."):
            data = b"." + data
        self.send(data.replace(b"\n.", b"\n..") + b".\r\n")  # RFC 5321, 4.5.2: a point alone ends it
        return self.getreply()[0]

    def forget(self) -> None:
        """Have the server forget the mail that it did not take; hang up if it cannot."""
        if self.sock is not None:
            try:
                self.rset()
            except (smtplib.SMTPException, OSError):
                self.close()


class _SmtpOverTls(smtplib.SMTP_SSL, _Smtp):
    """The same over TLS."""


class SmtpTransport:
    """Hands mails to a mail server.

    Args:
        server: which, and how to sign in.
        envelope_sender: the address that it reports failures to.
        timeout_s: for one mail, from connecting to the server's last reply, in seconds.
        monotonic: seconds that never jump.
    """

    def __init__(
        self,
        server: MailServer,
        envelope_sender: str,
        timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout_s = timeout_s
        self._server = server
        self._envelope_sender = envelope_sender
        self._monotonic = monotonic
        # what we trust; made once and only where TLS is spoken, since reading all certificates takes 10 ms and more
        self._tls = functools.cache(ssl.create_default_context)
        self._resting: list[tuple[SmtpSession, float]] = []

    @contextmanager
    def session(self) -> Iterator[SmtpSession]:
        """A connection for a round of mails: one that rests since the round before, or one made when it is needed."""
        session, used_at = (
            self._resting.pop()
            if self._resting
            else (SmtpSession(self._server, self._envelope_sender, self.timeout_s, self._tls), self._monotonic())
        )
        try:
            yield session
        except BaseException:
            session.close()
            raise
        now = self._monotonic()
        if session.take_used():
            used_at = now
        if now - used_at < IDLE_S and not self._resting:
            self._resting.append((session, used_at))
        else:
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
        self._used = False

    def send(self, mail: Mail) -> None:
        """Hand over one mail; over the connection of the one before if that still stands.

        Raises:
            NotSent: `unreachable`: there is no mail server to talk to, or it does not let us in. `refused`: it will
                never take this mail. `deferred`: anything else.
        """
        self._used = True
        deadline = time.monotonic() + self._timeout_s
        try:
            self._send(mail, deadline)
        except _NothingSent:  # the next connection may have the mail at once
            self._send(mail, deadline)

    def take_used(self) -> bool:
        """Whether anything was sent since the last time that this was asked."""
        used, self._used = self._used, False
        return used

    def close(self) -> None:
        """Say goodbye, if anybody is there."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                connection.deadline = time.monotonic() + _GOODBYE_S
                connection.quit()
            connection.close()

    def _send(self, mail: Mail, deadline: float) -> None:
        kept = self._connection is not None and self._connection.sock is not None
        connection = self._connected(deadline)
        try:
            self._say_envelope(connection, mail, kept)
            code = connection.content(mail.content)
        except (smtplib.SMTPException, OSError) as error:
            # the connection broke or the time is up: perhaps the server has the mail, perhaps not
            self._abandon()
            raise NotSent(FailureKind.DEFERRED, type(error).__name__) from error
        if not _goes_on(code):
            self._give_back(connection, code)
            raise NotSent(_verdict(code), f"SMTPDataError {code}")

    def _say_envelope(self, connection: _Smtp, mail: Mail, kept: bool) -> None:
        """Everything before the content.

        Raises:
            NotSent: the server does not want the mail, or does not say so.
            _NothingSent: this connection had been closed.
        """
        try:
            connection.ehlo_or_helo_if_needed()
            codes = connection.envelope(self._commands(connection, mail))
        except (smtplib.SMTPServerDisconnected, ConnectionError) as error:
            if kept and not isinstance(error.__context__, TimeoutError):
                self._abandon()
                raise _NothingSent from error
            raise
        if not all(map(_goes_on, codes)) or codes[-1] != _GO_ON:
            self._refused(connection, codes, kept)

    def _refused(self, connection: _Smtp, codes: list[int], kept: bool) -> None:
        """Say what the first refusal among the replies to sender, recipient and DATA means."""
        self._give_back(connection, codes[-1])
        if not _goes_on(codes[0]):
            if kept and codes[0] == _CLOSING:
                raise _NothingSent
            raise NotSent(FailureKind.DEFERRED, f"SMTPSenderRefused {codes[0]}")  # it is ours to mend
        if not _goes_on(codes[1]):
            raise NotSent(_verdict(codes[1]), f"SMTPRecipientsRefused {codes[1]}")
        raise NotSent(_verdict(codes[2]), f"SMTPDataError {codes[2]}")

    def _commands(self, connection: _Smtp, mail: Mail) -> list[str]:
        options = ""
        connection.command_encoding = "ascii"
        if mail.is_international:
            if not connection.has_extn("smtputf8"):
                raise NotSent(FailureKind.REFUSED, smtplib.SMTPNotSupportedError.__name__)
            options = " BODY=8BITMIME SMTPUTF8"
            connection.command_encoding = "utf-8"
        if connection.has_extn("size"):
            options += f" SIZE={len(mail.content)}"
        commands = [f"MAIL FROM:<{self._envelope_sender}>{options}", f"RCPT TO:<{mail.recipient}>", "DATA"]
        if any("\r" in command or "\n" in command for command in commands):
            raise ValueError("a line break in an address")  # `address_of` lets none through; nor does this
        return commands

    def _give_back(self, connection: _Smtp, code: int) -> None:
        if code in (_CLOSING, _GO_ON, -1):  # 354 in spite of a refusal: a content that never ends is never delivered
            connection.close()
        else:
            connection.forget()

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


def _goes_on(code: int) -> bool:
    return 200 <= code < 400  # RFC 5321, 4.2.1: what counts is the first digit


def _verdict(code: int) -> FailureKind:
    return FailureKind.REFUSED if code >= _PERMANENT else FailureKind.DEFERRED


def _named(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"
