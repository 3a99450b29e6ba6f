"""Queued mails leave: once each, whatever the mail server does and whoever dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.messages import Event
from chassis.persistence import Database
from chassis.testing import FixedClock
from notifications.bootstrap import App
from notifications.domain.deliveries import FailureKind, MailKind
from notifications.mail import Mail
from notifications.storage import DELIVERY, claim_due
from notifications.transports import FolderTransport, NotSent, Session, Transport
from notifications.use_cases.queue_mail import queue_cards
from notifications.use_cases.send_mails import BATCH, send_mails

MakeApp = Callable[..., App]
MakeEvent = Callable[..., Event]


class Crash(BaseException):
    """The process dies: nothing catches this."""


class Dying:
    """A transport whose process dies right after a mail was handed over, so often."""

    def __init__(self, transport: Transport, crashes: int = 1) -> None:
        self.timeout_s = transport.timeout_s
        self._transport = transport
        self._session: Session | None = None
        self._crashes = crashes

    @contextmanager
    def session(self) -> Iterator[Dying]:
        with self._transport.session() as self._session:
            yield self

    def send(self, mail: Mail) -> None:
        assert self._session is not None
        self._session.send(mail)
        if self._crashes:
            self._crashes -= 1
            raise Crash


@pytest.fixture
def database(migrated: Callable[..., Database], clock: FixedClock) -> Database:
    return migrated("notifications", clock)


@pytest.fixture
def queue(event: MakeEvent) -> Callable[..., None]:
    """Call it to queue so many card mails."""

    def make(app: App, count: int = 1, **buyer: str) -> None:
        to = {"email": "ada@acme.example", "name": "Ada", "language": "en", **buyer}
        for number in range(count):
            queue_cards(app, [event(MailKind.CARD, card_id=f"scc_{to['email']}_{number}", buyer=to)])

    return make


def states(database: Database) -> list[tuple[str, int, str | None]]:
    with database.reading() as reader:
        columns = (DELIVERY.c.state, DELIVERY.c.attempts, DELIVERY.c.last_error)
        return [tuple(row.values()) for row in reader.all(sa.select(*columns).order_by(DELIVERY.c.id))]


def message_ids(mailbox: Any) -> list[str]:
    return [mail["Message-ID"] for mail in mailbox.mails]


def test_everything_due_leaves_over_one_connection(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any
) -> None:
    app = make_app(database, smtp.transport)
    queue(app, 25)

    assert send_mails(app) == 25
    assert len(set(message_ids(smtp.mailbox))) == 25
    assert len(smtp.mailbox.sessions) == 1
    assert set(smtp.mailbox.senders) == {"store@punchcard.example"}
    assert states(database) == [("sent", 1, None)] * 25
    assert send_mails(app) == 0


def test_nothing_to_send_makes_no_connection(database: Database, make_app: MakeApp, make_smtp: Any) -> None:
    assert send_mails(make_app(database, make_smtp().transport)) == 0


def test_mail_server_down_then_up(
    database: Database, make_app: MakeApp, queue: Callable[..., None], make_smtp: Any, clock: FixedClock
) -> None:
    smtp = make_smtp()
    app = make_app(database, smtp.transport)
    queue(app, 3)
    for _ in range(5):
        assert send_mails(app) == 0
        clock.advance(seconds=5)
    tried = states(database)
    assert {state for state, _, _ in tried} == {"queued"}
    assert sum(attempts for _, attempts, _ in tried) == 5  # a round asks an absent server once, not for each mail
    assert {error for _, _, error in tried} == {"ConnectionRefusedError"}

    smtp.start()
    clock.advance(seconds=30)

    assert send_mails(app) == 3
    assert len(set(message_ids(smtp.mailbox))) == len(smtp.mailbox.mails) == 3
    assert {state for state, _, _ in states(database)} == {"sent"}


def test_what_a_clock_that_was_ahead_has_queued_or_claimed_is_sent(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any, clock: FixedClock
) -> None:
    app = make_app(database, smtp.transport)
    queue(app, email="ada@acme.example")
    clock.advance(hours=1)
    queue(app, email="bob@acme.example")
    with database.transaction() as tx:
        assert claim_due(tx.all, tx.now, timedelta(seconds=30), 1)  # by a sender that dies
    clock.advance(hours=-1)
    assert send_mails(app) == 2


def test_mail_server_restarted_between_two_mails_of_a_round(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any, clock: FixedClock
) -> None:
    with smtp.transport.session() as session:
        app = make_app(database, _Fixed(session))
        queue(app, email="ada@acme.example")
        assert send_mails(app) == 1
        smtp.stop()  # with the connection open
        queue(app, email="bob@acme.example")
        assert send_mails(app) == 0
        smtp.start()
        clock.advance(seconds=60)
        assert send_mails(app) == 1
    assert smtp.mailbox.recipients == ["ada@acme.example", "bob@acme.example"]


def test_refused_recipient_fails_for_good_and_holds_up_nobody(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any, clock: FixedClock
) -> None:
    smtp.mailbox.rcpt_answers["gone@acme.example"] = "550 5.1.1 no such user gone@acme.example"
    app = make_app(database, smtp.transport)
    queue(app, email="gone@acme.example")
    queue(app, email="ada@acme.example")

    assert send_mails(app) == 1
    assert states(database) == [("failed", 1, "SMTPRecipientsRefused 550"), ("sent", 1, None)]
    clock.advance(days=1)
    assert send_mails(app) == 0
    assert smtp.mailbox.recipients == ["ada@acme.example"]


@pytest.mark.parametrize("where", ["rcpt", "data"])
def test_a_mail_deferred_is_tried_again_later(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any, clock: FixedClock, where: str
) -> None:
    app = make_app(database, smtp.transport)
    queue(app)
    if where == "rcpt":
        smtp.mailbox.rcpt_answers["ada@acme.example"] = "450 4.2.0 greylisted"
    else:
        smtp.mailbox.data_answer = "451 4.3.0 not now"
    for seconds in (5, 10, 20):
        assert send_mails(app) == 0
        clock.advance(seconds=seconds - 1)
        assert send_mails(app) == 0  # not yet
        clock.advance(seconds=1)
    error = "SMTPRecipientsRefused 450" if where == "rcpt" else "SMTPDataError 451"
    assert states(database) == [("queued", 3, error)]

    smtp.mailbox.rcpt_answers.clear()
    smtp.mailbox.data_answer = "250 OK"
    assert send_mails(app) == 1
    assert len(smtp.mailbox.mails) == 1


def test_a_server_that_takes_few_mails_a_connection_gets_another_connection(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any
) -> None:
    smtp.mailbox.most_per_connection = 2
    app = make_app(database, smtp.transport)
    queue(app, 5)

    assert send_mails(app) == 5
    assert states(database) == [("sent", 1, None)] * 5


def test_a_crash_after_handing_over_makes_one_duplicate_with_the_same_message_id(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any, clock: FixedClock
) -> None:
    app = make_app(database, Dying(smtp.transport))
    queue(app, 3)
    with pytest.raises(Crash):
        send_mails(app)

    assert send_mails(app) == 0  # another sender may be at work on them
    clock.advance(seconds=25)  # the timeout of this transport, and 15 s
    assert send_mails(app) == 3
    clock.advance(days=1)
    assert send_mails(app) == 0
    ids = message_ids(smtp.mailbox)
    assert len(ids) == 4
    assert len(set(ids)) == 3
    assert {state for state, _, _ in states(database)} == {"sent"}
    first, again = (content for content in smtp.mailbox.contents if ids[0].encode() in content)
    assert first == again


def test_what_was_taken_is_noted_before_a_slow_server_takes_more(
    database: Database, make_app: MakeApp, queue: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[int] = []

    class Counting:
        timeout_s = 10.0

        def send(self, mail: Mail) -> None:
            noted.append([state for state, _, _ in states(database)].count("sent"))

    monkeypatch.setattr("notifications.use_cases.send_mails.LONGEST_BATCH_S", -1.0)
    app = make_app(database, _Fixed(Counting()))
    queue(app, 3)

    assert send_mails(app) == 3
    assert noted == [0, 1, 2]
    assert states(database) == [("sent", 1, None)] * 3  # a claim that was handed back is no attempt


def test_a_crash_makes_no_duplicate_in_a_folder(
    database: Database, make_app: MakeApp, queue: Callable[..., None], tmp_path: Path, clock: FixedClock
) -> None:
    app = make_app(database, Dying(FolderTransport(tmp_path / "mail")))
    queue(app)
    with pytest.raises(Crash):
        send_mails(app)
    (path,) = (tmp_path / "mail").iterdir()
    first = path.stat()

    clock.advance(seconds=60)
    assert send_mails(app) == 1

    assert list((tmp_path / "mail").iterdir()) == [path]
    assert path.stat().st_mtime_ns == first.st_mtime_ns  # its place in the mailbox stays
    with database.reading() as reader:
        delivery_id = reader.scalar(sa.select(DELIVERY.c.id))
    assert path.name == f"{delivery_id}@punchcard.example.eml"


def test_a_sealed_code_that_cannot_be_opened_holds_up_nobody(
    database: Database, make_app: MakeApp, event: MakeEvent, smtp: Any
) -> None:
    app = make_app(database, smtp.transport)
    queue_cards(app, [event(MailKind.CARD, card_id="scc_bad", sealed_code="bm90IHNlYWxlZA==")])
    queue_cards(app, [event(MailKind.CARD, card_id="scc_good")])

    assert send_mails(app) == 1
    assert states(database) == [("queued", 1, "ValueError"), ("sent", 1, None)]


def test_an_address_that_is_none_fails_for_good(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any
) -> None:
    app = make_app(database, smtp.transport)
    queue(app, email="nobody")

    assert send_mails(app) == 0
    assert states(database) == [("failed", 1, "BadAddress")]


def test_no_transaction_is_open_while_a_mail_is_sent(
    database: Database, make_app: MakeApp, queue: Callable[..., None], clock: FixedClock
) -> None:
    from chassis.context import transaction_open

    seen: list[bool] = []

    class Watching:
        timeout_s = 5.0

        def send(self, mail: Mail) -> None:
            seen.append(transaction_open.get())

    app = make_app(database, _Fixed(Watching()))
    queue(app, 2)
    send_mails(app)
    assert seen == [False, False]


def test_a_late_failure_does_not_take_back_what_another_sender_has_sent(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any, clock: FixedClock
) -> None:
    """The first sender is slow beyond its claim; the second one sends; then the first one fails."""
    second = make_app(database, smtp.transport)

    class Slow:
        timeout_s = 10.0

        def send(self, mail: Mail) -> None:
            clock.advance(seconds=60)
            assert send_mails(second) == 1
            raise RuntimeError

    first = make_app(database, _Fixed(Slow()))
    queue(first)

    assert send_mails(first) == 0
    assert states(database) == [("sent", 2, None)]


def test_two_senders_at_once_send_each_mail_once(
    migrated_postgres: Callable[..., Database], make_app: MakeApp, queue: Callable[..., None], smtp: Any
) -> None:
    database = migrated_postgres("notifications")
    apps = [make_app(database, smtp.transport) for _ in range(4)]
    queue(apps[0], 60)
    start = threading.Barrier(len(apps))
    sent: list[int] = []

    def work(app: App) -> None:
        start.wait()
        sent.append(send_mails(app))

    threads = [threading.Thread(target=work, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(sent) == 60
    assert len(message_ids(smtp.mailbox)) == len(set(message_ids(smtp.mailbox))) == 60
    assert states(database) == [("sent", 1, None)] * 60


def test_mails_being_sent_are_passed_over_by_another_sender(
    migrated_postgres: Callable[..., Database], make_app: MakeApp, queue: Callable[..., None], smtp: Any
) -> None:
    database = migrated_postgres("notifications")
    second = make_app(database, smtp.transport)
    sent_meanwhile: list[int] = []

    class Watching:
        timeout_s = 10.0

        def send(self, mail: Mail) -> None:
            sent_meanwhile.append(send_mails(second))

    first = make_app(database, _Fixed(Watching()))
    queue(first, BATCH + 2)

    assert send_mails(first) == BATCH
    assert sent_meanwhile == [2] + [0] * (BATCH - 1)
    assert states(database) == [("sent", 1, None)] * (BATCH + 2)


def test_a_claim_that_lapsed_is_not_handed_back(
    database: Database, make_app: MakeApp, queue: Callable[..., None], smtp: Any, clock: FixedClock
) -> None:
    """The first sender is slow beyond its claims and finds no server; meanwhile the second one has sent everything."""
    second = make_app(database, smtp.transport)

    class Slow:
        timeout_s = 10.0

        def send(self, mail: Mail) -> None:
            clock.advance(seconds=60)
            assert send_mails(second) == 3
            raise NotSent(FailureKind.UNREACHABLE, "ConnectionRefusedError")

    first = make_app(database, _Fixed(Slow()))
    queue(first, 3)

    assert send_mails(first) == 0
    assert states(database) == [("sent", 2, None)] * 3


class _Fixed:
    """A transport with one session that is there already."""

    def __init__(self, session: Any) -> None:
        self.timeout_s = 10.0
        self._session = session

    @contextmanager
    def session(self) -> Iterator[Any]:
        yield self._session
