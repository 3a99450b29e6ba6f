"""The service on a database of its own, real mail servers, and the producers' example events."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from chassis.local_servers import free_port
from chassis.messages import Event
from chassis.persistence import Database
from chassis.sealing import Opener, Sealer, new_key
from chassis.testing import FixedClock, event_example, make_event
from notifications.bootstrap import App
from notifications.domain.deliveries import ACCOUNT_MAILS, MailKind
from notifications.messages import PAYLOADS
from notifications.rendering import Renderer
from notifications.settings import MailServer
from notifications.transports import SmtpTransport, Transport

CLAIM_CODE = "7K2M-Q9TX-04HB-ZZ5V-W8YN-3"
SENDER = Address("Punchcard", addr_spec="store@punchcard.example")
EVENTS = {
    MailKind.RECEIPT: "cart.order_paid.v1",
    MailKind.CARD: "credits.card_issued.v1",
    MailKind.REFUND: "cart.order_refunded.v1",
    MailKind.CARD_REISSUED: "credits.card_reissued.v1",
    MailKind.CARD_EXPIRING: "credits.card_expiring.v1",
    MailKind.BALANCE_LOW: "credits.balance_low.v1",
    MailKind.CARD_CLAIMED: "credits.card_claimed.v1",
    MailKind.PAYMENT_INSTRUCTIONS: "payments.instructions_issued.v1",
    MailKind.PAYMENT_REMINDER: "payments.reminder_issued.v1",
    MailKind.PAYMENT_RECEIVED: "payments.receipt_recorded.v1",
    MailKind.QUOTE: "cart.quote_issued.v1",
    MailKind.QUOTE_EXPIRING: "cart.quote_expiring.v1",
    MailKind.TICKET_OPENED: "support.ticket_opened.v1",
    MailKind.TICKET_ANSWERED: "support.ticket_answered.v1",
    MailKind.TICKET_OVERRUN: "support.overrun_asked.v1",
    MailKind.TICKET_CLOSED: "support.ticket_closed.v1",
    MailKind.TICKET_DEFECT: "support.defect_credited.v1",
}
EVENTS |= dict.fromkeys(ACCOUNT_MAILS, "accounts.notice_issued.v1")
LINK_TOKEN = "k5Rz0yqk6mC2nWQJ1h7i3sVt9bXe4uLdFgPoAaNcEyM"
TLS = Path(__file__).parent / "tls"


@pytest.fixture
def opener() -> Opener:
    return Opener(new_key())


@pytest.fixture
def examples(opener: Opener) -> dict[MailKind, dict[str, Any]]:
    """The producers' example of each event that causes a mail, with a claim code sealed for us."""
    found = {kind: event_example(name) for kind, name in EVENTS.items()}
    for kind in (MailKind.CARD, MailKind.CARD_REISSUED):
        found[kind]["sealed_code"] = Sealer(opener.public_key).seal(CLAIM_CODE)
    for kind in ACCOUNT_MAILS:
        found[kind] |= {"purpose": str(kind), "sealed_token": Sealer(opener.public_key).seal(LINK_TOKEN)}
    return found


@pytest.fixture
def event(examples: dict[MailKind, dict[str, Any]]) -> Callable[..., Event]:
    """Call it with a kind of mail to get the event that causes it, as the chassis hands it to the service."""

    def make(kind: MailKind, **changes: Any) -> Event:
        name = EVENTS[kind]
        return make_event(name, PAYLOADS[kind].load({**examples[kind], **changes}), consumer=f"on {name}")

    return make


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    """It compiles every template, which takes longer than any test; it keeps nothing of a mail."""
    return Renderer(SENDER, "https://store.punchcard.example")


@pytest.fixture
def make_app(opener: Opener, renderer: Renderer) -> Callable[..., App]:
    """Call it with a database and a transport to get the application; its sender is woken by hand."""

    def make(database: Database, transport: Transport, wake: Callable[[], None] = lambda: None) -> App:
        return App(database, renderer, opener, transport, wake, SENDER.domain)

    return make


@dataclass
class Mailbox:
    """aiosmtpd's handler: what a mail server took, and what it says to whom."""

    mails: list[EmailMessage] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)
    logins: list[tuple[str, bool]] = field(default_factory=list)  # name, whether over TLS
    rcpt_answers: dict[str, str] = field(default_factory=dict)
    data_answer: str = "250 OK"
    most_per_connection: int = 1_000_000
    takes_all_at_once: bool = True  # PIPELINING

    open_connections: int = 0

    async def handle_EHLO(  # noqa: N802
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.open_connections += 1
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self.takes_all_at_once else responses

    async def handle_MAIL(self, _server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        session.count = getattr(session, "count", 0) + 1
        if session.count > self.most_per_connection:
            return "421 too many mails for one connection"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        answer = self.rcpt_answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data_answer.startswith("250"):
            self.contents.append(envelope.content)
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            self.recipients += envelope.rcpt_tos
            self.senders.append(envelope.mail_from)
            self.sessions.add(id(session))
        return self.data_answer

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        self.open_connections -= 1
        return "221 Bye"

    def authenticate(self, _server: Any, session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login.decode(), session.ssl is not None))
        return AuthResult(success=given.password == b"s3cret/word", handled=False)


class SmtpServer:
    """A real mail server that can be stopped and started again on the same port."""

    def __init__(self, **options: Any) -> None:
        self.mailbox = Mailbox()
        self.port = free_port()
        self._options = options
        self._controller: Controller | None = None

    @functools.cached_property
    def transport(self) -> SmtpTransport:
        return SmtpTransport(MailServer("smtp", "127.0.0.1", self.port), SENDER.addr_spec, 10.0)

    def start(self) -> SmtpServer:
        self._controller = Controller(self.mailbox, hostname="127.0.0.1", port=self.port, **self._options)
        self._controller.start()
        return self

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


@pytest.fixture
def make_smtp() -> Iterator[Callable[..., SmtpServer]]:
    """Call it, with aiosmtpd's options if need be, to get a mail server; not started yet."""
    made: list[SmtpServer] = []

    def make(**options: Any) -> SmtpServer:
        made.append(SmtpServer(**options))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def smtp(make_smtp: Callable[..., SmtpServer]) -> SmtpServer:
    """A mail server that runs."""
    return make_smtp().start()


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server needs to speak TLS as localhost; the clients of this test believe its certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "localhost.cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.cert.pem", TLS / "localhost.key.pem")
    return context
