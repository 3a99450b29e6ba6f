"""The SMTP transport against real mail servers: signing in, TLS, time limits."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest

from notifications.domain.deliveries import FailureKind
from notifications.settings import MailServer
from notifications.transports import NotSent, SmtpTransport


def a_mail() -> EmailMessage:
    message = EmailMessage()
    message["Message-ID"] = "<1@punchcard.example>"
    message["From"] = "store@punchcard.example"
    message["To"] = "ada@acme.example"
    message.set_content("Hello")
    return message


def send(server: MailServer, timeout_s: float = 10.0) -> None:
    with SmtpTransport(server, "store@punchcard.example", timeout_s).session() as session:
        session.send(a_mail(), "ada@acme.example")


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
        session.send(a_mail(), "adä@acme.example")
    with knows_not.transport.session() as session, pytest.raises(NotSent) as caught:
        session.send(a_mail(), "adä@acme.example")

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
