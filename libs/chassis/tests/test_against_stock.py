"""Seventeen things that stock nameko 2.14.1 does to messages, and that the chassis does not.

The tests named ``test_stock_...`` are the counter-examples: the scenario on stock classes (`stock.service`, run as
``nameko run`` does it), asserting the misbehaviour. The chassis' own test of the scenario stands next to it, or is
named here.

== ============================================ ======================================================================
 # stock nameko                                 the chassis
== ============================================ ======================================================================
 1 SIGTERM: finished work is done again         test_bus: sigterm_finishes_what_is_under_way
 2 a malformed message is a crash loop          a_request_without_a_content_type_is_refused; test_bus:
                                                poison_is_parked..., a_malformed_call_stack_header...
 3 an undecodable body is lost, and logged      an_undecodable_body_is_kept_and_not_logged
 4 an event that nobody listens to is lost      an_event_that_nobody_listens_to_waits_in_the_outbox
 5 a broker that stopped reading holds up       a_broker_that_stopped_reading_holds_up_no_transaction. The broker is a
   whoever publishes                            proxy that stops reading, not one with an alarm: that is a fault test
 6 a failing event is lost, or a hot loop       test_bus: a_failing_handler_is_tried_again_then_parked_with_its_cause
 7 a request runs after its caller has left;    test_bus: a_request_that_nobody_waits_for_does_not_run;
   every caller waits for a dead service        test_breaker: a_dead_service_that_comes_back_is_called_again
 8 requests and replies are persistent,         requests_and_replies_are_transient_and_unconfirmed_and_events_persistent
   requests confirmed                           (what that costs: benchmarks/)
 9 what is sent twice is done twice             a_repeated_request_with_a_key_has_one_effect; test_bus: an_event_is_
                                                handled_once_however_often_it_comes
10 errors carry the class and the message       an_error_on_the_wire_says_nothing_of_its_cause; test_bus: a_defect_is_
                                                answered_with_nothing... (HTTP: tests of the gateway)
11 context headers are believed and copied      context_headers_are_not_copied; test_bus: only_what_accounts_signed_...
12 health waits behind the workers              health_does_not_wait_behind_events, ..._behind_requests
13 psycopg 3 freezes the event loop             queries_of_one_process_overlap. Shown with psycopg2 unpatched, which
                                                waits in C as psycopg 3 does: psycopg 3 is no dependency of ours
14 SQLite: a writer that yields locks out       writers_of_one_process_take_turns. nameko has no database code: the
   the others                                   counter-example is the standard library's sqlite3 in a stock service
15 queues: no arguments, the method's name      a_renamed_handler_keeps_its_queue, event_queues_have_arguments;
                                                test_topology: a_renamed_handler_takes_what_waited..., and what becomes
                                                of a changed argument
16 timers catch up in bursts                    a_timer_does_not_burst_when_the_clock_jumps
17 a shared ClusterRpcProxy; direct reply-to    test_bus: threads_share_one_client (by direct reply-to); stock callers
                                                and handlers work with our services: the_nameko_shell_calls..., a_stock_
                                                event_handler_hears...; test_bus: a_stock_proxy_can_call. Every service:
                                                tests/journeys
== ============================================ ======================================================================
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import amqp
import eventlet
import pytest
import sqlalchemy as sa
from amqp.exceptions import PreconditionFailed
from echo.process import Echo
from echo.service import EFFECT, SAID, Said
from kombu import Connection, Exchange, pools
from nameko.exceptions import RpcTimeout
from nameko.standalone.events import event_dispatcher
from nameko.standalone.rpc import ClusterRpcProxy
from nameko.timer import Timer
from stock.process import HEARD_QUEUE, HERE, POKED_QUEUE, RENAMED_QUEUE, SAID_QUEUE, Stock, shell
from stock.proxy import StallingProxy

from chassis.messaging.relay import Relay
from chassis.persistence import Database, IdempotencyKeys, request_hash
from chassis.persistence.tables import OUTBOX
from chassis.rpc import RpcClient
from chassis.service import Consume, Every, Provided
from chassis.testing import create_tables, emitted, wait_until
from kernel.errors import Refusal

RPC_EXCHANGE = "nameko-rpc"


class Container(SimpleNamespace):
    """As much of nameko's ServiceContainer as an extension asks for."""


@pytest.fixture
def unstarted_stock(amqp_uri: str, tmp_path: Path) -> Iterator[Stock]:
    folder = tmp_path / "stock"
    folder.mkdir()
    service = Stock(amqp_uri, folder)
    yield service
    service.kill()


@pytest.fixture
def stock(unstarted_stock: Stock) -> Stock:
    unstarted_stock.start()
    return unstarted_stock


class Wire:
    """Messages as they are on the wire: sends any, and shows what comes.

    Args:
        amqp_uri: the broker.
    """

    def __init__(self, amqp_uri: str) -> None:
        self.connection = Connection(amqp_uri)
        self.channel: Any = self.connection.default_channel
        for name in (RPC_EXCHANGE, "stock.events", "echo.events"):
            Exchange(name, type="topic", durable=True)(self.channel).declare()
        self.reply_to = uuid.uuid4().hex
        self._replies = self.spy(RPC_EXCHANGE, self.reply_to)

    def send(self, body: Any, exchange: str, key: str, **properties: Any) -> None:
        """Publish, and return when the broker has it. `body` is sent as it is if it is text, as JSON otherwise."""
        text = body if isinstance(body, str) else json.dumps(body)
        headers = properties.pop("headers", {})
        known = {"content_type": "application/json", "content_encoding": "utf-8", "application_headers": headers,
                 **properties}  # fmt: skip
        message = amqp.Message(text, **{name: value for name, value in known.items() if value is not None})
        self.channel.basic_publish(message, exchange=exchange, routing_key=key)
        self.channel.exchange_declare(exchange, "topic", passive=True)  # an answer means that it has read so far

    def event(self, service: str, key: str, data: Any, **properties: Any) -> None:
        self.send(data, f"{service}.events", key, **properties)

    def request(self, target: str, arguments: dict[str, str], **properties: Any) -> None:
        self.send({"args": [], "kwargs": arguments}, RPC_EXCHANGE, target, **{"reply_to": self.reply_to, **properties})

    def ask(self, target: str, arguments: dict[str, str], **properties: Any) -> amqp.Message:
        """Send a request and wait for its reply."""
        self.request(target, arguments, **properties)
        return self.reply()

    def reply(self) -> amqp.Message:
        return self._replies()

    def spy(self, exchange: str, key: str) -> Callable[[], amqp.Message]:
        """Listen in on an exchange; call the result to wait for the next message."""
        queue = self.channel.queue_declare(exclusive=True).queue
        self.channel.queue_bind(queue, exchange, key)

        def following() -> amqp.Message:
            found: list[amqp.Message] = []

            def look() -> bool:
                message = self.channel.basic_get(queue, no_ack=True)
                found.extend([message] if message else [])
                return bool(found)

            wait_until(look, f"a message to {key}")
            return found[0]

        return following


@pytest.fixture
def wire(amqp_uri: str) -> Iterator[Wire]:
    wire = Wire(amqp_uri)
    yield wire
    wire.connection.release()


def run_green(scenario: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stock.green", scenario, *map(str, arguments)],
        cwd=HERE,
        stdout=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> Any:
    output, _ = process.communicate(timeout=90)
    return json.loads(output)


# -- 1: SIGTERM with work in flight --------------------------------------------------------------------------------


def test_stock_does_finished_work_again_after_sigterm(stock: Stock, wire: Wire) -> None:
    wire.event("stock", "said", {"text": "slow"})
    wait_until(lambda: stock.effects() == ["began slow"], "it to begin")
    stock.terminate()
    wait_until(lambda: stock.waiting(SAID_QUEUE) == 1, "the event to be back in the queue while it is worked on")
    stock.open_gate()
    stock.wait()
    assert stock.effects() == ["began slow", "handled slow"]
    stock.start()
    wait_until(lambda: stock.effects().count("handled slow") == 2, "it to be done again")


# -- 2: malformed messages -----------------------------------------------------------------------------------------

MALFORMED: dict[str, dict[str, Any]] = {
    "no reply_to": {"reply_to": None},
    "no content_type": {"content_type": None},
    "call stack": {"headers": {"nameko.call_id_stack": 7}},
}


@pytest.mark.parametrize("shape", MALFORMED)
def test_stock_crashes_again_and_again_over_a_malformed_message(stock: Stock, wire: Wire, shape: str) -> None:
    wire.request("stock.note", {"text": "x"}, **MALFORMED[shape])
    assert stock.wait() != 0
    wait_until(lambda: stock.waiting("rpc-stock") == 1, "the message to be back in the queue")
    stock.launch()
    assert stock.wait() != 0
    wait_until(lambda: stock.waiting("rpc-stock") == 1, "the message to be back in the queue")


def test_a_request_without_a_content_type_is_refused(echo: Echo, wire: Wire) -> None:
    reply = wire.ask("echo.note", {"text": "x"}, content_type=None)
    assert json.loads(reply.body)["error"]["exc_type"] == "malformed_request"
    assert json.loads(wire.ask("echo.echo", {"text": "still there"}).body)["result"] == {"text": "still there"}
    assert echo.effects() == []


def test_a_request_that_wants_its_reply_on_an_unknown_exchange_is_done_with(
    echo: Echo, client: RpcClient, wire: Wire
) -> None:
    wire.request("echo.note", {"text": "x"}, headers={"reply_exchange": "no such exchange"})
    assert client.call("echo", "echo", {"text": "after"}, timeout_s=20) == {"text": "after"}
    assert echo.stop() == 0
    left: list[int] = []

    def closed() -> bool:
        _, messages, consumers = wire.channel.queue_declare("rpc-echo", passive=True)
        left[:] = [messages]
        return not consumers

    wait_until(closed, "the broker to notice")
    assert left == [0], "it is done again, and each time costs the service its connection"


@pytest.mark.parametrize(
    ("changes", "headers"), [({"id": "a\0b"}, {}), ({"id": "a\ud800b"}, {}), ({}, {"x-attempt": 2**40})]
)
def test_an_event_that_the_dead_letters_have_no_room_for_is_parked_all_the_same(
    echo: Echo, wire: Wire, changes: dict[str, str], headers: dict[str, int]
) -> None:
    event = {"id": "evt_1", "type": "echo.said.v1", "data": {"text": "always fails"},
             "occurred_at": "2026-11-22T12:00:00Z", **changes}  # fmt: skip
    wire.event("echo", "said.v1", event, headers=headers)
    parked = "SELECT count(*) FROM dead_letter"
    wait_until(lambda: echo.rows(parked) == [(1,)] or len(echo.effects()) > 3, "it to be parked, or a fourth attempt")
    assert echo.rows(parked) == [(1,)]


# -- 3: undecodable bodies -----------------------------------------------------------------------------------------


def test_stock_loses_an_undecodable_body_and_logs_it(stock: Stock, wire: Wire) -> None:
    wire.event("stock", "said", "{ broken opensesame")
    wait_until(lambda: "Can't decode message body" in stock.log.read_text(), "it to be noticed")
    stock.stop()
    assert "opensesame" in stock.log.read_text()
    assert (stock.waiting(SAID_QUEUE), stock.effects()) == (0, [])


def test_an_undecodable_body_is_kept_and_not_logged(echo: Echo, wire: Wire) -> None:
    wire.event("echo", "said.v1", "{ broken opensesame")
    wait_until(lambda: echo.rows("SELECT count(*) FROM dead_letter") == [(1,)], "it to be parked")
    (row,) = echo.rows("SELECT cause, convert_from(body, 'UTF8') FROM dead_letter")
    assert row == ("malformed:not_json", "{ broken opensesame")
    wait_until(lambda: "parked a message" in echo.log.read_text(), "the log to tell of it")
    assert "opensesame" not in echo.log.read_text()


# -- 4: events that nobody listens to ------------------------------------------------------------------------------


def test_stock_loses_an_event_that_nobody_listens_to(stock: Stock, wire: Wire) -> None:
    wire.channel.queue_unbind(SAID_QUEUE, "stock.events", "said")
    assert json.loads(wire.ask("stock.say", {"text": "to nobody"}).body)["error"] is None
    wire.channel.queue_bind(SAID_QUEUE, "stock.events", "said")
    wire.ask("stock.say", {"text": "to all"})
    wait_until(lambda: stock.effects() == ["handled to all"], "the event after it")
    assert "to nobody" not in stock.log.read_text()


def test_an_event_that_nobody_listens_to_waits_in_the_outbox(echo: Echo, client: RpcClient, wire: Wire) -> None:
    queue = "echo.on.echo.said.v1"
    wire.channel.queue_unbind(queue, "echo.events", "said.v1")
    client.call("echo", "say", {"text": "to whoever comes"}, timeout_s=20)
    wait_until(lambda: "nobody listens to echo.said.v1" in echo.log.read_text(), "an error in the log")
    assert echo.rows("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(1,)]
    wire.channel.queue_bind(queue, "echo.events", "said.v1")
    wait_until(lambda: echo.effects() == ["handled to whoever comes"], "the event to leave after all", 60)
    wait_until(lambda: echo.rows("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(0,)], "the outbox to empty")


# -- 5: a broker that stops reading --------------------------------------------------------------------------------


@pytest.fixture
def proxy(amqp_uri: str) -> Iterator[StallingProxy]:
    proxy = StallingProxy(amqp_uri)
    yield proxy
    proxy.close()


def test_stock_a_broker_that_stopped_reading_holds_up_whoever_publishes(proxy: StallingProxy) -> None:
    dispatch = event_dispatcher({"AMQP_URI": proxy.uri})
    dispatch("stock", "said", {"text": "connected"})
    proxy.stall()
    publishing = threading.Thread(target=dispatch, args=("stock", "said", {"text": "x"}), daemon=True)
    publishing.start()
    publishing.join(2)
    assert publishing.is_alive(), "it has returned without a confirm"
    proxy.resume()
    publishing.join(30)
    assert not publishing.is_alive()


def test_a_broker_that_stopped_reading_holds_up_no_transaction(
    proxy: StallingProxy, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("chassis.messaging.relay._CONFIRM_TIMEOUT_S", 0.5)
    wire.spy("echo.events", "said.v1")
    database = create_tables(Database(f"sqlite:///{tmp_path / 'x.db'}"))
    relay = Relay(proxy.uri, database)
    relay.start()

    def unsent() -> int:
        with database.reading() as reader:
            return int(reader.scalar(sa.select(sa.func.count()).where(OUTBOX.c.sent_at.is_(None))))

    def emit(text: str) -> None:
        with database.transaction() as transaction:
            transaction.emit(SAID, {"text": text})

    emit("connected")
    wait_until(lambda: unsent() == 0, "the first event to leave")
    proxy.stall()
    emit("committed all the same")
    wait_until(lambda: "the relay starts over: NotConfirmed" in caplog.text, "the relay to give its connection up")
    assert unsent() == 1
    proxy.resume()
    wait_until(lambda: unsent() == 0, "the event to leave after all", 60)
    relay.stop()
    database.close()


# -- 6: failing handlers -------------------------------------------------------------------------------------------


def test_stock_loses_an_event_whose_handler_fails(stock: Stock, wire: Wire) -> None:
    wire.event("stock", "said", {"text": "always fails"})
    wait_until(lambda: stock.effects() == ["attempt"], "the attempt")
    stock.stop()
    assert stock.waiting(SAID_QUEUE) == 0
    stock.start()
    wire.event("stock", "said", {"text": "after"})
    wait_until(lambda: "handled after" in stock.effects(), "the event after it")
    assert stock.effects() == ["attempt", "handled after"]


def test_stock_tries_a_requeued_event_without_pause_or_end(stock: Stock, wire: Wire) -> None:
    wire.event("stock", "poked", {})
    wait_until(lambda: stock.effects().count("poked") >= 100, "a hundred attempts", 60)
    stock.kill()
    wait_until(lambda: stock.waiting(POKED_QUEUE) == 1, "it to be there for the next process")


# -- 7: deadlines --------------------------------------------------------------------------------------------------


def test_stock_runs_a_request_that_nobody_waits_for(stock: Stock, wire: Wire) -> None:
    assert stock.process is not None
    stock.process.send_signal(signal.SIGSTOP)
    with ClusterRpcProxy({"AMQP_URI": stock.amqp_uri}, timeout=0.5) as proxy, pytest.raises(RpcTimeout):
        proxy.stock.note(text="too late")
    stock.process.send_signal(signal.SIGCONT)
    wait_until(lambda: stock.effects() == ["too late"], "it to run all the same")


def test_stock_sends_every_call_to_a_service_that_is_dead_and_waits(stock: Stock) -> None:
    stock.stop()
    with ClusterRpcProxy({"AMQP_URI": stock.amqp_uri}, timeout=0.2) as proxy:
        for _ in range(8):
            with pytest.raises(RpcTimeout):
                proxy.stock.note(text="x")
    assert stock.waiting("rpc-stock") == 8, "none failed at once"


# -- 8: what is persistent and confirmed ---------------------------------------------------------------------------


@pytest.fixture
def confirmed_channels(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The channels of this process that asked for the broker's confirms."""
    pools.reset()  # nameko keeps its channels there
    found: list[Any] = []
    select = amqp.Channel.confirm_select

    def noticed(channel: Any, *arguments: Any, **options: Any) -> Any:
        found.append(channel)
        return select(channel, *arguments, **options)

    monkeypatch.setattr(amqp.Channel, "confirm_select", noticed)
    return found


def test_stock_requests_and_replies_are_persistent_and_confirmed(
    stock: Stock, wire: Wire, confirmed_channels: list[Any]
) -> None:
    requests = wire.spy(RPC_EXCHANGE, "stock.*")
    with ClusterRpcProxy({"AMQP_URI": stock.amqp_uri}) as proxy:
        proxy.stock.echo(text="x")
    assert requests().properties["delivery_mode"] == 2
    assert confirmed_channels
    assert wire.ask("stock.echo", {"text": "x"}).properties["delivery_mode"] == 2


def test_requests_and_replies_are_transient_and_unconfirmed_and_events_persistent(
    echo: Echo, client: RpcClient, wire: Wire, confirmed_channels: list[Any]
) -> None:
    requests, events = wire.spy(RPC_EXCHANGE, "echo.*"), wire.spy("echo.events", "said.v1")
    client.call("echo", "say", {"text": "x"}, timeout_s=20)
    request = requests()
    assert request.properties["delivery_mode"] == 1
    assert 0 < int(request.properties["expiration"]) <= 20_000
    assert not confirmed_channels
    assert wire.ask("echo.echo", {"text": "x"}).properties["delivery_mode"] == 1
    assert events().properties["delivery_mode"] == 2


# -- 9: what is sent twice -----------------------------------------------------------------------------------------


def test_stock_does_twice_what_is_sent_twice(stock: Stock, wire: Wire) -> None:
    for _ in range(2):
        wire.ask("stock.note", {"text": "paid"}, correlation_id="the same")
        wire.event("stock", "said", {"text": "paid"}, message_id="the same")
    wait_until(lambda: sorted(stock.effects()) == ["handled paid"] * 2 + ["paid"] * 2, "both, twice")


def test_a_repeated_request_with_a_key_has_one_effect(tmp_path: Path) -> None:
    database = create_tables(Database(f"sqlite:///{tmp_path / 'x.db'}"), EFFECT.metadata)

    def pay(amount: int) -> Any:
        with database.transaction() as transaction:
            keys = IdempotencyKeys(transaction, "org_a")
            before = keys.begin("k", request_hash("pay", {"amount": amount}))
            if before is not None:
                return before.answer
            transaction.execute(sa.insert(EFFECT).values(what="paid"))
            transaction.emit(SAID, {"text": "paid"})
            keys.finish("k", {"paid": amount})
        return {"paid": amount}

    assert [pay(3), pay(3), pay(3)] == [{"paid": 3}] * 3
    with pytest.raises(Refusal, match="another request"):
        pay(4)
    with database.reading() as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(EFFECT)) == 1
    assert emitted(database) == [("echo.said.v1", {"text": "paid"})]
    database.close()


# -- 10: errors ----------------------------------------------------------------------------------------------------


def test_stock_errors_carry_the_class_and_the_message(stock: Stock, wire: Wire) -> None:
    error = json.loads(wire.ask("stock.crash", {"text": "opensesame"}).body)["error"]
    assert error["exc_path"].endswith(".ValueError")
    assert error["value"] == "a secret: opensesame"
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{stock.http_port}/crash", timeout=20)
    assert caught.value.code == 500
    assert caught.value.read() == b"Error: ValueError: a secret: opensesame\n"


def test_an_error_on_the_wire_says_nothing_of_its_cause(echo: Echo, wire: Wire) -> None:
    reply = wire.ask("echo.crash", {"text": "opensesame"}, headers={"correlation_id": "cor_1"})
    assert json.loads(reply.body)["error"]["exc_type"] == "internal_error"
    assert "ValueError" not in reply.body
    assert "secret" not in reply.body
    assert "cor_1" in reply.body
    wait_until(lambda: "cor_1" in echo.log.read_text(), "the log to tell what it was")


# -- 11: context headers -------------------------------------------------------------------------------------------

CLAIMS = {"nameko.user_id": "the boss", "nameko.auth_token": "opensesame"}


def test_stock_believes_and_copies_context_headers(stock: Stock, wire: Wire) -> None:
    assert json.loads(wire.ask("stock.whoami", {}, headers=CLAIMS).body)["result"] == "the boss"
    events = wire.spy("stock.events", "said")
    wire.ask("stock.say", {"text": "x"}, headers=CLAIMS)
    assert CLAIMS.items() <= events().headers.items()


def test_context_headers_are_not_copied(echo: Echo, wire: Wire) -> None:
    assert json.loads(wire.ask("echo.whoami", {}, headers=CLAIMS).body)["error"]["exc_type"] == "unauthenticated"
    events = wire.spy("echo.events", "said.v1")
    wire.ask("echo.say", {"text": "x"}, headers=CLAIMS)
    assert set(events().headers) == {"correlation_id"}


# -- 12: health ----------------------------------------------------------------------------------------------------


def test_stock_health_waits_behind_the_workers(stock: Stock, wire: Wire) -> None:
    address = f"http://127.0.0.1:{stock.http_port}/health"
    assert urllib.request.urlopen(address, timeout=20).read() == b"well"
    for _ in range(10):
        wire.event("stock", "said", {"text": "slow"})
    wait_until(lambda: stock.effects() == ["began slow"] * 10, "every worker to be busy")
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(address, timeout=1)
    stock.open_gate()


def test_health_does_not_wait_behind_events(echo: Echo, client: RpcClient, wire: Wire) -> None:
    for number in range(100):
        wire.event("echo", "said.v1", {"id": f"evt_{number}", "type": "echo.said.v1", "data": {"text": "slow"},
                                       "occurred_at": "2026-11-22T12:00:00Z"})  # fmt: skip
    wait_until(lambda: echo.effects().count("began slow") >= 8, "every worker of events to be busy")
    assert client.call("health", "echo", timeout_s=20) == {"service": "echo"}
    assert echo.effects().count("handled slow") < 100


def test_health_does_not_wait_behind_requests(echo: Echo, client: RpcClient, wire: Wire) -> None:
    for _ in range(200):
        wire.request("echo.note_slowly", {"text": "x"})
    wait_until(lambda: len(echo.effects()) >= 16, "every worker of requests to be busy")
    assert client.call("health", "echo", timeout_s=10) == {"service": "echo"}


# -- 13: PostgreSQL under eventlet ---------------------------------------------------------------------------------


@contextmanager
def held_lock(url: str) -> Iterator[tuple[Callable[[], int], Callable[[], None]]]:
    """A lock of PostgreSQL that others have to wait for: how many do, and how to let go of it."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
                      " AND wait_event_type = 'Lock' AND wait_event = 'advisory'")  # fmt: skip
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(1)"))
        yield (
            lambda: int(connection.execute(waiting).scalar_one()),
            lambda: connection.execute(sa.text("SELECT pg_advisory_unlock(1)")).close(),
        )
    engine.dispose()


def test_stock_an_unpatched_driver_freezes_the_event_loop(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    with held_lock(url) as (waiting, let_go):
        process = run_green("overlap_unpatched", url, 1, 20)
        wait_until(lambda: waiting() == 1, "the first query to wait", 60)
        let_go()
        assert outcome(process) == 1, "another greenlet ran while the first waited for PostgreSQL"


def test_queries_of_one_process_overlap(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    with held_lock(url) as (waiting, let_go):
        process = run_green("overlap", url, 1, 20)
        wait_until(lambda: waiting() == 20, "20 queries to wait at the same time", 60)
        let_go()
        assert outcome(process) == 20


# -- 14: SQLite under eventlet -------------------------------------------------------------------------------------


def test_stock_a_writer_that_yields_locks_out_the_others(stock: Stock, wire: Wire) -> None:
    assert stock.process is not None
    stock.process.send_signal(signal.SIGSTOP)
    for _ in range(5):
        wire.request("stock.write_and_yield", {})
    stock.process.send_signal(signal.SIGCONT)  # all five at once
    answers = [json.loads(wire.reply().body)["result"] for _ in range(5)]
    assert "database is locked" in answers


def test_writers_of_one_process_take_turns(tmp_path: Path) -> None:
    assert outcome(run_green("writers", f"sqlite:///{tmp_path / 'x.db'}", 10)) == ["written"] * 10


# -- 15: queues ----------------------------------------------------------------------------------------------------


def test_stock_forgets_the_events_of_a_renamed_handler(stock: Stock, wire: Wire) -> None:
    stock.stop()
    wire.event("stock", "said", {"text": "between"})
    stock.service_class = "RenamedService"
    stock.start()
    wire.event("stock", "said", {"text": "after"})
    wait_until(lambda: stock.effects() == ["handled after"], "the renamed handler")
    assert stock.consumers(RENAMED_QUEUE) == 1
    assert (stock.waiting(SAID_QUEUE), stock.consumers(SAID_QUEUE)) == (2, 0), "events that nobody takes any longer"


def test_a_renamed_handler_keeps_its_queue() -> None:
    for method in ("on_said", "when_said"):
        container = Container(service_name="echo", shared_extensions={})
        entrypoint = Consume("echo.said.v1", Said()).bind(container, method)
        entrypoint.setup()
        assert list(entrypoint.server.handlers) == ["echo.on.echo.said.v1"]


def test_stock_queues_have_no_arguments(stock: Stock, wire: Wire) -> None:
    # the broker refuses to declare a queue that exists with other arguments
    wire.channel.queue_declare(SAID_QUEUE, durable=True, auto_delete=False, arguments={})


def test_event_queues_have_arguments(echo: Echo, wire: Wire) -> None:
    arguments = {"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "echo.dead",
                 "x-delivery-limit": 20}  # fmt: skip
    wire.channel.queue_declare("echo.on.echo.said.v1", durable=True, auto_delete=False, arguments=arguments)
    with pytest.raises(PreconditionFailed):
        wire.channel.queue_declare("echo.on.echo.said.v1", durable=True, auto_delete=False, arguments={})


# -- 16: the clock -------------------------------------------------------------------------------------------------


def runs_after_a_jump(monkeypatch: pytest.MonkeyPatch, timer: Any, dependencies: tuple[Any, ...] = ()) -> int:
    """How often a timer of an hour runs when the clock jumps by 50 hours during its first run."""
    runs: list[object] = []
    real, jump = time.time, [0]
    monkeypatch.setattr(time, "time", lambda: real() + jump[0])

    def spawn_worker(entrypoint: Any, *_: Any, handle_result: Callable[..., Any], **__: Any) -> None:
        runs.append(entrypoint)
        jump[0] = 50 * 3600
        eventlet.spawn_n(handle_result, None, None, None)

    def spawn_managed_thread(run: Callable[[], None], identifier: str = "") -> Any:
        return eventlet.spawn(run)

    container = Container(
        dependencies=dependencies, spawn_worker=spawn_worker, spawn_managed_thread=spawn_managed_thread
    )
    bound = timer.bind(container, "tick")
    bound.setup()
    bound.start()
    for _ in range(1000):
        eventlet.sleep(0)
    bound.stop()
    return len(runs)


def test_stock_timer_bursts_when_the_clock_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_after_a_jump(monkeypatch, Timer(3600, eager=True)) > 50


def test_a_timer_does_not_burst_when_the_clock_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    provided: Any = Provided(lambda runtime: None)
    provided.runtime = SimpleNamespace(timers={})
    assert runs_after_a_jump(monkeypatch, Every(3600), (provided,)) == 1


# -- 17: clients ---------------------------------------------------------------------------------------------------


def test_stock_proxy_does_not_survive_being_shared_by_threads(stock: Stock, tmp_path: Path) -> None:
    """It hangs or fails; each right answer is a line."""
    answers = tmp_path / "answers"
    with answers.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stock.shared_proxy", stock.amqp_uri, "8", "100"],
            cwd=HERE, stdout=output, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    seen, since = -1, time.monotonic()
    while process.poll() is None and time.monotonic() < since + 5:
        size = answers.stat().st_size
        if size != seen:
            seen, since = size, time.monotonic()
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert len(answers.read_text().splitlines()) < 800


def test_the_nameko_shell_calls_a_service_of_ours(echo: Echo) -> None:
    assert shell(echo.amqp_uri, "print(n.rpc.echo.echo(text='typed'))") == "{'text': 'typed'}\n"
    said = shell(
        echo.amqp_uri,
        "from nameko.exceptions import RemoteError",
        "try:",
        "    n.rpc.echo.echo(txt='wrong')",
        "except RemoteError as error:",
        "    print(error.exc_type)",
        "",
    )
    assert said == "validation_failed\n"


def test_a_stock_event_handler_hears_a_service_of_ours(echo: Echo, client: RpcClient, unstarted_stock: Stock) -> None:
    unstarted_stock.service_class = "ListeningService"
    unstarted_stock.start()
    wait_until(lambda: unstarted_stock.consumers(HEARD_QUEUE) == 1, "the stock handler to listen")
    client.call("echo", "say", {"text": "to all"}, timeout_s=20)
    wait_until(lambda: unstarted_stock.effects() == ["heard echo.said.v1: to all"], "the stock handler to hear it")
    wait_until(lambda: echo.effects() == ["handled to all"], "our own handler to have it as well")


def test_stock_does_not_answer_a_direct_reply_to(stock: Stock, wire: Wire) -> None:
    direct: list[amqp.Message] = []
    wire.channel.basic_consume("amq.rabbitmq.reply-to", no_ack=True, callback=direct.append)
    wire.request("stock.note", {"text": "done"}, reply_to="amq.rabbitmq.reply-to")
    wait_until(lambda: stock.effects() == ["done"], "the request to run")
    wire.ask("stock.echo", {"text": "x"})  # drains the connection
    assert direct == []
