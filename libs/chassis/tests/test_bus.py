"""The chassis on the real RabbitMQ and PostgreSQL, with the service as a process of its own."""

from __future__ import annotations

import json
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from echo.process import Echo
from kombu import Connection
from nameko.standalone.rpc import ClusterRpcProxy

from chassis import context
from chassis.identity import IdentitySigner
from chassis.messages import TolerantSchema
from chassis.messaging.broadcast import Broadcast
from chassis.rpc import RpcClient
from chassis.sealing import new_key
from chassis.testing import identity, wait_until
from kernel.errors import Kind, Refusal


def call(client: RpcClient, method: str, data: dict[str, Any] | None = None, **options: Any) -> Any:
    return client.call("echo", method, data, **options)


def refusal(client: RpcClient, method: str, data: dict[str, Any] | None = None, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(client, method, data, **options)
    return caught.value


def publish(amqp_uri: str, body: Any, *, exchange: str = "echo.events", key: str = "said.v1", **options: Any) -> None:
    with Connection(amqp_uri) as connection:
        connection.Producer(serializer=options.pop("serializer", "json")).publish(
            body, exchange=exchange, routing_key=key, **options
        )


def said(text: str, **changes: Any) -> dict[str, Any]:
    return {"id": f"evt_{uuid.uuid4()}", "type": "echo.said.v1", "occurred_at": "2026-11-22T12:00:00Z",
            "data": {"text": text}, **changes}  # fmt: skip


def test_a_call_is_answered_or_refused_with_a_reason(echo: Echo, client: RpcClient) -> None:
    assert call(client, "echo", {"text": "hello"}) == {"text": "hello"}
    wrong = refusal(client, "echo", {"txt": 1})
    assert wrong.kind is Kind.INVALID
    assert {error["field"] for error in wrong.errors} == {"text", "txt"}
    assert refusal(client, "no_such_method").code == "method_not_found"
    with pytest.raises(Refusal) as caught:
        client.call("nobody", "there")
    assert caught.value.kind is Kind.UNAVAILABLE


def test_a_defect_is_answered_with_nothing_but_that_there_was_one(echo: Echo, client: RpcClient) -> None:
    for method, data in (("crash", {"text": "opensesame"}), ("answer_nonsense", {})):
        answer = refusal(client, method, data)
        assert answer.as_dict() == {
            "kind": "internal", "code": "internal_error", "errors": [], "extra": {},
            "detail": "Something went wrong on our side. It has been recorded.",
        }  # fmt: skip
    assert call(client, "echo", {"text": "still there"}) == {"text": "still there"}


def test_only_what_accounts_signed_is_believed(echo: Echo, client: RpcClient) -> None:
    assert refusal(client, "whoami").kind is Kind.UNAUTHENTICATED
    somebody = identity(email="ada@acme.example")
    for token in (
        IdentitySigner(new_key()).sign(somebody),
        "nonsense",
        IdentitySigner(echo.signing_key).sign(somebody, 0),
    ):
        with context.entered(context.RequestContext("cor_test", token)):
            assert refusal(client, "whoami").kind is Kind.UNAUTHENTICATED
    with context.entered(context.RequestContext("cor_test", IdentitySigner(echo.signing_key).sign(somebody))):
        assert call(client, "whoami") == {"text": "ada@acme.example"}


def test_threads_share_one_client(echo: Echo, client: RpcClient) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(lambda n: call(client, "echo", {"text": str(n)}, timeout_s=20)["text"], range(500))
        assert list(answers) == [str(n) for n in range(500)]


def test_a_request_that_nobody_waits_for_does_not_run(echo: Echo, client: RpcClient) -> None:
    call(client, "echo", {"text": "connected"})
    assert echo.process is not None
    echo.process.send_signal(signal.SIGSTOP)
    assert refusal(client, "note", {"text": "too late"}, timeout_s=0.5).kind is Kind.UNAVAILABLE
    time.sleep(0.6)
    echo.process.send_signal(signal.SIGCONT)
    assert call(client, "note", {"text": "in time"}) == {"text": "in time"}
    assert echo.effects() == ["in time"]


def test_what_is_left_of_a_deadline_goes_along(echo: Echo, client: RpcClient) -> None:
    request = context.RequestContext("cor_test", deadline=time.monotonic() - 1)
    with context.entered(request):
        assert refusal(client, "note", {"text": "never"}, timeout_s=30).kind is Kind.UNAVAILABLE
    assert echo.effects() == []


def test_a_stock_proxy_can_call(echo: Echo) -> None:
    with ClusterRpcProxy({"AMQP_URI": echo.amqp_uri}, timeout=10) as proxy:
        assert proxy.echo.echo(text="stock") == {"text": "stock"}
        with pytest.raises(Exception, match="validation_failed"):
            proxy.echo.echo(txt="wrong")


def test_an_event_is_handled_once_however_often_it_comes(echo: Echo, client: RpcClient) -> None:
    call(client, "say", {"text": "one"})
    wait_until(lambda: echo.effects() == ["handled one"], "the event")
    twice = said("two")
    for _ in range(3):
        publish(echo.amqp_uri, twice)
    publish(echo.amqp_uri, said("last"))
    wait_until(lambda: "handled last" in echo.effects(), "the last event")
    assert sorted(echo.effects()) == ["handled last", "handled one", "handled two"]
    wait_until(lambda: echo.rows("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(0,)], "the outbox to empty")


def test_a_stock_event_handler_would_receive_our_events(echo: Echo, client: RpcClient) -> None:
    with Connection(echo.amqp_uri) as connection:
        queue = connection.SimpleQueue(f"stock-{uuid.uuid4()}", queue_opts={"durable": False, "auto_delete": True})
        queue.queue(connection.default_channel).bind_to("echo.events", "said.v1")
        call(client, "say", {"text": "to all"})
        message = queue.get(timeout=10)
        assert (message.payload["type"], message.payload["data"]) == ("echo.said.v1", {"text": "to all"})
        queue.close()


def test_a_failing_handler_is_tried_again_then_parked_with_its_cause(echo: Echo, client: RpcClient) -> None:
    call(client, "say", {"text": "fails twice"})
    call(client, "say", {"text": "always fails"})
    wait_until(lambda: "handled fails twice" in echo.effects(), "the third attempt")
    wait_until(lambda: echo.rows("SELECT count(*) FROM dead_letter") == [(1,)], "the event to be parked")
    assert echo.rows("SELECT queue, cause, attempts FROM dead_letter") == [
        ("echo.on.echo.said.v1", "RuntimeError", 3)
    ]  # fmt: skip


def test_poison_is_parked_and_stops_nothing(echo: Echo, client: RpcClient) -> None:
    call(client, "echo", {"text": "up"})
    uri = echo.amqp_uri
    publish(uri, b"\xff\xfe not json", serializer="raw")
    publish(uri, "{ broken", content_type="application/json", content_encoding="utf-8", serializer=None)
    publish(uri, [1, 2, 3])
    publish(uri, said("x", type="echo.other.v1"))
    publish(uri, said("x", data={"no": "text"}))
    publish(uri, said("x", occurred_at="yesterday"))
    publish(uri, said("x"), serializer="pickle")
    publish(uri, {"args": [], "kwargs": {}}, exchange="nameko-rpc", key="echo.echo")
    publish(uri, "[" * 5000, content_type="application/json", content_encoding="utf-8", serializer=None)
    wait_until(lambda: echo.rows("SELECT count(*) FROM dead_letter") == [(9,)], "all of it to be parked")
    causes = {str(row[0]) for row in echo.rows("SELECT cause FROM dead_letter")}
    assert causes == {
        "malformed:content_type", "malformed:not_json", "malformed:envelope", "malformed:type", "malformed:data:text",
        "rpc:no_reply_to",
    }  # fmt: skip
    assert echo.effects() == []
    assert call(client, "echo", {"text": "still up"}) == {"text": "still up"}


def test_a_malformed_call_stack_header_is_nothing_to_us(echo: Echo, client: RpcClient) -> None:
    publish(echo.amqp_uri, {"args": [], "kwargs": {"text": "x"}}, exchange="nameko-rpc", key="echo.note",
            reply_to="nowhere", headers={"nameko.call_id_stack": 7, "timeout_ms": "soon", "identity": 9})  # fmt: skip
    wait_until(lambda: call(client, "echo", {"text": "y"}), "an answer")
    assert call(client, "echo", {"text": "z"}) == {"text": "z"}


def test_what_was_committed_but_not_published_leaves_at_the_next_start(echo: Echo) -> None:
    echo.kill()
    event = said("from before the crash")
    from datetime import UTC, datetime, timedelta

    import sqlalchemy as sa

    from chassis.persistence import Database
    from chassis.persistence.tables import OUTBOX

    database = Database(echo.database_url)
    with database.transaction() as transaction:
        transaction.execute(sa.insert(OUTBOX).values(
            id=event["id"], type="echo.said.v1", body=json.dumps(event), correlation_id="cor_1", must_route=True,
            created_at=datetime.now(UTC) - timedelta(minutes=1), sent_at=None))  # fmt: skip
    database.close()
    echo.start()
    wait_until(lambda: echo.effects() == ["handled from before the crash"], "the event")


def test_sigterm_finishes_what_is_under_way(echo: Echo, client: RpcClient) -> None:
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(call(client, "note_slowly", {"text": "work"}, timeout_s=20))
    )
    thread.start()
    call(client, "say", {"text": "slow"})
    wait_until(lambda: set(echo.effects()) == {"began work", "began slow"}, "both to begin")
    assert echo.stop() == 0
    thread.join(10)
    assert answers == [{"text": "work"}]
    assert set(echo.effects()) == {"began work", "began slow", "ended work", "handled slow"}
    echo.start()
    call(client, "note", {"text": "after"}, timeout_s=20)
    assert echo.effects().count("began slow") == 1, "finished work was done again"


def test_kill_9_hands_the_event_to_the_next_process(echo: Echo, client: RpcClient) -> None:
    call(client, "say", {"text": "slow"})
    wait_until(lambda: echo.effects() == ["began slow"], "it to begin")
    echo.kill()
    echo.start()
    wait_until(lambda: "handled slow" in echo.effects(), "the event to be handled after all")
    assert echo.effects().count("handled slow") == 1


def test_a_broadcast_reaches_every_listener_and_tells_of_gaps(echo: Echo, client: RpcClient) -> None:
    heard: dict[int, list[Any]] = {0: [], 1: []}
    gaps: list[int] = []

    class Whatever(TolerantSchema):
        pass

    def listen(number: int) -> Broadcast:
        broadcast = Broadcast(
            echo.amqp_uri, "echo.said.v1", Whatever(), on_event=heard[number].append, on_gap=lambda: gaps.append(number)
        )
        broadcast.start()
        assert broadcast.wait_ready(10)
        return broadcast

    listeners = [listen(0), listen(1)]
    assert sorted(gaps) == [0, 1]
    call(client, "say", {"text": "to all"})
    wait_until(lambda: len(heard[0]) == len(heard[1]) == 1, "both to hear it")
    for listener in listeners:
        listener.stop()
