"""The outbox relay: what was committed reaches the broker, confirmed, whatever dies in between.

The commit hands its rows to the relay in memory, so an event leaves within a moment and without a query. Whatever was
not marked as sent (a crash, a broker that was away) is found by a sweep. An event may be published twice, never not at
all; the inbox of each consumer makes the second one harmless.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chassis import failpoints
from chassis.messaging.inmemory import Unroutable
from chassis.messaging.link import Link, connect, is_memory
from chassis.messaging.topology import event_exchange
from chassis.persistence.database import Database, OutboxRow, Transaction
from chassis.persistence.statements import Statement, any_of
from chassis.persistence.tables import OUTBOX, UtcDateTimeColumn
from kernel.errors import Refusal

_log = logging.getLogger(__name__)

#: A row this old that is still unsent was forgotten by whoever committed it. So was one from as far in the future:
#: the clock of its process was ahead, and nothing must wait until ours catches up.
_FORGOTTEN_AFTER = timedelta(seconds=5)
_SWEEP_EVERY_S = 5.0
#: How long a row that was sent may wait to be marked as such. Whoever dies meanwhile leaves events that are sent twice,
#: which the inboxes drop; marking many at once spares a transaction for each event.
_MARK_WITHIN_S = 0.25
_BATCH = 200
_CONFIRM_TIMEOUT_S = 10.0


_MARK_SENT = Statement(
    sa.update(OUTBOX)
    .where(any_of(OUTBOX.c.id, "ids"))
    .values(sent_at=sa.bindparam("now", type_=UtcDateTimeColumn))
)  # fmt: skip


class NotConfirmed(Exception):
    """The broker did not say that it has the message."""


@dataclass
class Outgoing:
    """One message on its way to the broker, and what became of it.

    Args:
        message_id: for matching returns; unique in a batch.
        body: JSON.
        exchange, routing_key: where to.
        headers: of ours.
        mandatory: whether having no queue is an error.
    """

    message_id: str
    body: str | bytes
    exchange: str
    routing_key: str
    headers: dict[str, Any] = field(default_factory=dict)
    mandatory: bool = True
    confirmed: bool = False
    returned: bool = False


class ConfirmedPublisher:
    """Publishes batches on a link of its own and waits for the broker's confirms.

    Args:
        link: a fresh one; this publisher is its only user.
        in_memory: the embedded bus, which has a message the moment it is put.
    """

    def __init__(self, link: Link, in_memory: bool) -> None:
        self._link = link
        self._in_memory = in_memory
        self._published = 0
        self._waiting: dict[int, Outgoing] = {}
        self._by_id: dict[str, Outgoing] = {}
        if not in_memory:
            link.channel.confirm_select()
            link.channel.events["basic_ack"].add(self._acked)
            link.channel.events["basic_nack"].add(self._nacked)
            link.channel.events["basic_return"].add(self._returned)

    def publish(self, batch: Sequence[Outgoing]) -> None:
        """Publish and wait. What was taken has `confirmed`; what nobody listens to has `returned`.

        Raises:
            NotConfirmed: the broker did not answer for all of them in time; the link is of no further use.
        """
        for message in batch:
            self._publish_one(message)
        deadline = time.monotonic() + _CONFIRM_TIMEOUT_S
        while self._waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotConfirmed(f"{len(self._waiting)} of {len(batch)} messages were not confirmed")
            self._link.drain(left)
        self._by_id.clear()

    def _publish_one(self, message: Outgoing) -> None:
        try:
            self._link.publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                headers=message.headers,
                mandatory=message.mandatory,
                message_id=message.message_id,
            )
        except Unroutable:
            message.returned = True
        if self._in_memory:
            message.confirmed = not message.returned
            return
        self._published += 1
        self._waiting[self._published] = message
        self._by_id[message.message_id] = message

    def _settle(self, delivery_tag: int, multiple: bool, confirmed: bool) -> None:
        tags = [tag for tag in self._waiting if tag <= delivery_tag] if multiple else [delivery_tag]
        for tag in tags:
            message = self._waiting.pop(tag, None)
            if message is not None:
                message.confirmed = confirmed and not message.returned

    def _acked(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple, confirmed=True)

    def _nacked(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple, confirmed=False)

    def _returned(self, _error: Any, _exchange: str, _routing_key: str, message: Any) -> None:
        # the broker returns a message before it confirms it
        returned = self._by_id.get(message.properties.get("message_id"))
        if returned is not None:
            returned.returned = True


@dataclass
class _Request:
    """A batch that somebody waits for."""

    batch: Sequence[Outgoing]
    done: threading.Event = field(default_factory=threading.Event)


class Relay:
    """Carries the outbox to the broker, and confirmed messages of the consumer (retries).

    Args:
        uri: the bus.
        database: whose outbox.
        offer_again: how far back sent events are offered again at the start; None for not at all. The in-memory bus
            forgets what was under way when its process ended.
    """

    def __init__(self, uri: str, database: Database, offer_again: timedelta | None = None) -> None:
        self._uri = uri
        self._database = database
        self._offer_again = offer_again
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._rows: deque[OutboxRow] = deque()
        #: Sent and confirmed, but not marked yet; and when they must be (`time.monotonic()`).
        self._sent: list[str] = []
        self._mark_at = 0.0
        self._requests: deque[_Request] = deque()
        self._publisher: ConfirmedPublisher | None = None
        self._thread: threading.Thread | None = None
        database.on_outbox = self.offer

    def start(self) -> None:
        """Start the thread. What is in the outbox unsent leaves first."""
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Send what is waiting, then end; the rest stays in the outbox for the next process."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def offer(self, rows: Iterable[OutboxRow]) -> None:
        """Take rows that were just committed."""
        self._rows.extend(rows)
        self._wake.set()

    def publish(self, batch: Sequence[Outgoing], timeout_s: float = 2 * _CONFIRM_TIMEOUT_S) -> None:
        """Publish messages and wait until the broker has confirmed every one.

        Raises:
            NotConfirmed: it has not.
        """
        request = _Request(batch)
        self._requests.append(request)
        self._wake.set()
        if not request.done.wait(timeout_s):
            with contextlib.suppress(ValueError):  # it may be on its way at this very moment
                self._requests.remove(request)
            raise NotConfirmed("the broker does not answer")
        if not all(message.confirmed for message in batch):
            raise NotConfirmed("the broker refused a message")

    def _run(self) -> None:
        failures = 0
        while True:
            connection = connect(self._uri)
            try:
                connection.connect()
                link = Link(connection)
                self._publisher = ConfirmedPublisher(link, is_memory(self._uri))
                failures = 0
                self._offer_recent()
                if self._work(link):
                    return
            except Exception as error:  # the broker is away: what is unsent stays in the outbox, and waiters wait on
                _log.warning("the relay starts over: %s: %s", type(error).__name__, error)
            finally:
                connection.collect()
            if self._stopping.is_set():
                return
            failures += 1
            self._stopping.wait(min(5.0, 0.2 * 2**failures))

    def _work(self, link: Link) -> bool:
        next_sweep = 0.0
        while True:
            self._wake.clear()
            self._serve_requests()
            try:
                while self._rows:
                    self._send_offered()
                    self._serve_requests()
                now = time.monotonic()
                if self._sent and (now >= min(self._mark_at, next_sweep) or self._stopping.is_set()):
                    self._mark_sent()
                if now >= next_sweep:
                    next_sweep = time.monotonic() + _SWEEP_EVERY_S
                    link.drain(0.001)  # notice a heartbeat, or that the broker has gone
                    link.beat()
                    self._sweep()
            except Refusal:
                # the database is away. Retries need the broker only, so the link stays; a sweep finds what is unmarked
                _log.warning("the relay cannot reach its database")
                self._mark_at = time.monotonic() + _SWEEP_EVERY_S
            if self._stopping.is_set() and not self._rows:
                return True
            next_turn = min(next_sweep, self._mark_at) if self._sent else next_sweep
            self._wake.wait(max(0.0, next_turn - time.monotonic()))

    def _send_offered(self) -> None:
        rows = [self._rows.popleft() for _ in range(min(_BATCH, len(self._rows)))]
        sent = self._send(rows)
        if sent and not self._sent:
            self._mark_at = time.monotonic() + _MARK_WITHIN_S
        self._sent += sent
        if len(self._sent) >= _BATCH:
            self._mark_sent()

    def _mark_sent(self) -> None:
        with self._database.transaction() as transaction:
            self._mark(transaction, self._sent)
        self._sent = []

    def _serve_requests(self) -> None:
        while self._requests:
            request = self._requests.popleft()
            assert self._publisher is not None
            try:
                self._publisher.publish(request.batch)
            except BaseException:
                self._requests.appendleft(request)  # for the next link
                raise
            request.done.set()

    def _send(self, rows: Sequence[Any]) -> list[str]:
        assert self._publisher is not None
        batch = [
            Outgoing(
                row["id"],
                row["body"],
                event_exchange(row["type"]),
                row["type"].split(".", 1)[1],
                {"correlation_id": row["correlation_id"]},
                row["must_route"],
            )
            for row in rows
        ]
        self._publisher.publish(batch)
        for message, row in zip(batch, rows, strict=True):
            if message.returned:
                _log.error("nobody listens to %s: event %s stays in the outbox", row["type"], row["id"])
        return [message.message_id for message in batch if message.confirmed]

    def _mark(self, transaction: Transaction, ids: Sequence[str]) -> None:
        if ids:
            failpoints.reach("relay.published")
            transaction.write(_MARK_SENT, ids=ids, now=transaction.now)

    def _sweep(self) -> None:
        """Send what was forgotten. Two relays never take the same rows (SKIP LOCKED)."""
        while True:
            with self._database.transaction() as transaction:
                rows = transaction.all(
                    sa.select(OUTBOX)
                    .where(
                        OUTBOX.c.sent_at.is_(None),
                        sa.or_(
                            OUTBOX.c.created_at < transaction.now - _FORGOTTEN_AFTER,
                            OUTBOX.c.created_at > transaction.now + _FORGOTTEN_AFTER,
                        ),
                    )
                    .order_by(OUTBOX.c.created_at)
                    .limit(_BATCH)
                    .with_for_update(skip_locked=True)
                )
                sent = self._send(rows) if rows else []
                self._mark(transaction, sent)
            if len(rows) < _BATCH or not sent:
                return

    def _offer_recent(self) -> None:
        if self._offer_again is None:
            return
        with self._database.reading() as reader:
            rows = reader.all(sa.select(OUTBOX).where(OUTBOX.c.created_at > reader.now - self._offer_again))
        self._offer_again = None
        self.offer(dict(row) for row in rows)
