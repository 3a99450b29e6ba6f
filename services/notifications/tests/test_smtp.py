"""The SMTP transport against real mail servers: signing in, TLS, time limits."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chassis.testing import wait_until
from notifications.domain.deliveries import FailureKind
from notifications.mail import Mail
from notifications.settings import MailServer
from notifications.transports import NotSent, SmtpTransport
from notifications.transports.smtp import IDLE_S


@pytest.fixture(params=["all at once", "one by one"])
def smtp(make_smtp: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    """A mail server that runs, and takes commands in one go or not."""
    server = make_smtp()
    server.mailbox.takes_all_at_once = request.param == "all at once"
    return server.start()


def a_mail(recipient: str = "ada@acme.example", text: str = "Hello") -> Mail:
    content = f"Message-ID: <1@punchcard.example>\r\nFrom: store@punchcard.example\r\nTo: {recipient}\r\n\r\n{text}\r\n"
    return Mail("<1@punchcard.example>", recipient, content.encode())


def send(server: MailServer, timeout_s: float = 10.0) -> None:
    with SmtpTransport(server, "store@punchcard.example", timeout_s).session() as session:
        session.send(a_mail())


def test_smtps(make_smtp: Callable[..., Any], tls: ssl.SSLContext) -> None:
    smtp = make_smtp(ssl_context=tls).start()
    send(MailServer("smtps", "localhost", smtp.port))
    assert len(smtp.mailbox.mails) == 1


def test_starttls_and_sign_in(make_smtp: Callable[..., Any], tls: ssl.SSLContext) -> None:
    smtp = make_smtp(tls_context=tls, auth_required=True)
    smtp._options["authenticator"] = smtp.mailbox.authenticate
    smtp.start()

    send(MailServer("smtp+starttls", "localhost", smtp.port, "punchcard", "s3cret/word"))

    assert smtp.mailbox.logins == [("punchcard", True)]
    assert len(smtp.mailbox.mails) == 1


def test_wrong_password_is_ours_to_mend_and_is_tried_again(make_smtp: Callable[..., Any], tls: ssl.SSLContext) -> None:
    smtp = make_smtp(tls_context=tls, auth_required=True)
    smtp._options["authenticator"] = smtp.mailbox.authenticate
    smtp.start()

    with pytest.raises(NotSent) as caught:
        send(MailServer("smtp+starttls", "localhost", smtp.port, "punchcard", "wrong"))

    assert caught.value.failure.kind is FailureKind.UNREACHABLE
    assert caught.value.failure.error == "SMTPAuthenticationError 535"
    assert smtp.mailbox.mails == []


def test_starttls_is_not_given_up_when_the_server_has_none(smtp: Any) -> None:
    with pytest.raises(NotSent) as caught:
        send(MailServer("smtp+starttls", "127.0.0.1", smtp.port, "punchcard", "s3cret/word"))

    assert caught.value.failure.error == "SMTPNotSupportedError"
    assert smtp.mailbox.logins == []
    assert smtp.mailbox.mails == []


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_certificate_nobody_vouches_for_is_not_believed(
    make_smtp: Callable[..., Any], tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    smtp = make_smtp(**{"ssl_context" if scheme == "smtps" else "tls_context": tls})
    if scheme == "smtps":
        # aiosmtpd makes sure that it has started by connecting to itself, and believes its own certificate
        smtp._options["ssl_context"] = tls
    smtp.start()

    with pytest.raises(NotSent) as caught:
        send(MailServer(scheme, "localhost", smtp.port))

    assert caught.value.failure.error == "SSLCertVerificationError"
    assert smtp.mailbox.mails == []


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ([], FailureKind.UNREACHABLE),  # no greeting at all
        (["554 go away"], FailureKind.UNREACHABLE),
        (["220 hello", "250 hello"], FailureKind.DEFERRED),  # silent from MAIL on
        (["220 hello", "250 hello", "250 sender", "250 recipient", "354 go on"], FailureKind.DEFERRED),
    ],
)
def test_a_server_that_falls_silent_is_not_waited_for_beyond_the_limit(replies: list[str], kind: FailureKind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_talk, args=(listening, replies), daemon=True)
        thread.start()
        with pytest.raises(NotSent) as caught:
            send(MailServer("smtp", "127.0.0.1", listening.getsockname()[1]), timeout_s=1.0)
    thread.join()

    assert caught.value.failure.kind is kind


def test_an_address_beyond_ascii_needs_a_server_that_knows_such(make_smtp: Callable[..., Any]) -> None:
    knows, knows_not = make_smtp(enable_SMTPUTF8=True).start(), make_smtp(enable_SMTPUTF8=False).start()
    with knows.transport.session() as session:
        session.send(a_mail("adä@acme.example"))
    with knows_not.transport.session() as session, pytest.raises(NotSent) as caught:
        session.send(a_mail("adä@acme.example"))

    assert knows.mailbox.recipients == ["adä@acme.example"]
    assert caught.value.failure.kind is FailureKind.REFUSED


def _talk(listening: socket.socket, replies: list[str]) -> None:
    """Say the replies one after the other, the first unasked; then listen until the client hangs up."""
    connection, _ = listening.accept()
    with connection, connection.makefile("rb") as lines:
        for number, reply in enumerate(replies):
            if number and not lines.readline():
                return
            connection.sendall(reply.encode() + b"\r\n")
        while lines.readline():
            pass


def test_a_connection_is_kept_for_the_next_round_and_closed_after_a_while(smtp: Any) -> None:
    now = 0.0
    transport = SmtpTransport(MailServer("smtp", "127.0.0.1", smtp.port), "store@punchcard.example", 10.0, lambda: now)
    for _ in range(3):
        with transport.session() as session:
            session.send(a_mail())
        now += IDLE_S - 1
    assert len(smtp.mailbox.mails) == 3
    assert len(smtp.mailbox.sessions) == 1

    with transport.session():
        pass  # nothing to send
    now += 2
    with transport.session():
        pass
    wait_until(lambda: smtp.mailbox.open_connections == 0, "the connection to be closed")
    with transport.session() as session:
        session.send(a_mail())
    assert len(smtp.mailbox.sessions) == 2


def test_a_kept_connection_that_the_server_has_closed_costs_nothing_but_another_one(smtp: Any) -> None:
    transport = smtp.transport
    with transport.session() as session:
        session.send(a_mail())
    smtp.stop()
    smtp.start()
    with transport.session() as session:
        session.send(a_mail())

    assert len(smtp.mailbox.mails) == 2


def test_rounds_at_the_same_time_have_connections_of_their_own(smtp: Any) -> None:
    transport = smtp.transport
    with transport.session() as one, transport.session() as other:
        one.send(a_mail())
        other.send(a_mail())
    with transport.session() as one:
        one.send(a_mail())

    assert len(smtp.mailbox.mails) == 3
    assert len(smtp.mailbox.sessions) == 2


def test_a_mail_that_is_refused_leaves_a_connection_that_takes_the_next(smtp: Any) -> None:
    smtp.mailbox.rcpt_answers["gone@acme.example"] = "550 no such user"
    with smtp.transport.session() as session:
        for _ in range(2):
            with pytest.raises(NotSent) as caught:
                session.send(a_mail("gone@acme.example"))
            assert (caught.value.failure.kind, caught.value.failure.error) == (
                FailureKind.REFUSED, "SMTPRecipientsRefused 550",
            )  # fmt: skip
        session.send(a_mail())

    assert smtp.mailbox.recipients == ["ada@acme.example"]
    assert len(smtp.mailbox.sessions) == 1


@pytest.mark.parametrize(
    "text", [".", "..", ".\r\n.\r\nQUIT", "a\r\n.b\r\n.", "QUIT\r\n.\r\n\r\nMAIL FROM:<eve@evil.example>"]
)
def test_points_in_a_text_end_no_mail(smtp: Any, text: str) -> None:
    with smtp.transport.session() as session:
        session.send(a_mail(text=text))
        session.send(a_mail())

    assert [mail.get_payload().removesuffix("\r\n") for mail in smtp.mailbox.mails] == [text, "Hello"]
    assert set(smtp.mailbox.senders) == {"store@punchcard.example"}


@pytest.mark.parametrize("recipient", ["ada@acme.example>\r\nRCPT TO:<eve@evil.example", "ada\n@acme.example"])
def test_a_recipient_says_no_commands(smtp: Any, recipient: str) -> None:
    with smtp.transport.session() as session:
        with pytest.raises(ValueError, match="line break"):
            session.send(a_mail(recipient))
        session.send(a_mail())

    assert smtp.mailbox.recipients == ["ada@acme.example"]


@pytest.mark.parametrize(
    ("replies", "kind", "error"),
    [
        # the server of RFC 2920, 3.1, that says to go on although it takes nobody: nothing is delivered
        (["250 sender", "550 nobody", "354 go on"], FailureKind.REFUSED, "SMTPRecipientsRefused 550"),
        (["451 busy", "503 no sender", "503 no sender"], FailureKind.DEFERRED, "SMTPSenderRefused 451"),
        (["250 sender", "251 will forward", "554 no"], FailureKind.REFUSED, "SMTPDataError 554"),
        (["250 sender", "421 closing"], FailureKind.DEFERRED, "SMTPRecipientsRefused 421"),
        (["250 sender", "what?", "354 go on"], FailureKind.DEFERRED, "SMTPRecipientsRefused -1"),
    ],
)
def test_refusals_to_commands_in_one_go(replies: list[str], kind: FailureKind, error: str) -> None:
    """The replies come together, after all three commands."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 hello\r\n")
                lines.readline()
                connection.sendall(b"250-hello\r\n250 PIPELINING\r\n")
                heard.extend(lines.readline() for _ in range(3))
                connection.sendall("".join(f"{reply}\r\n" for reply in replies).encode())
                heard.extend(lines)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(NotSent) as caught:
            send(MailServer("smtp", "127.0.0.1", listening.getsockname()[1]), timeout_s=2.0)
        thread.join(10)

    assert (caught.value.failure.kind, caught.value.failure.error) == (kind, error)
    assert [line.split()[0].lower() for line in heard[:3]] == [b"mail", b"rcpt", b"data"]
    assert not [line for line in heard[3:] if b"Hello" in line]


def test_a_kept_connection_that_says_goodbye_gives_way_to_another() -> None:
    """The server has said 421 while nobody listened, and then hung up."""
    greeted: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for number in range(2):
                connection, _ = listening.accept()
                greeted.append(number)
                with connection, connection.makefile("rb") as lines:
                    connection.sendall(b"220 hello\r\n")
                    lines.readline()
                    connection.sendall(b"250-hello\r\n250 PIPELINING\r\n")
                    for _ in range(3):
                        lines.readline()
                    connection.sendall(b"250 sender\r\n250 recipient\r\n354 go on\r\n")
                    while lines.readline() != b".\r\n":
                        pass
                    connection.sendall(b"250 taken\r\n421 idle for too long\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        transport = SmtpTransport(MailServer("smtp", "127.0.0.1", listening.getsockname()[1]), "s@p.example", 10.0)
        for _ in range(2):
            with transport.session() as session:
                session.send(a_mail())
        thread.join(10)

    assert greeted == [0, 1]
