"""Dead letters on the real RabbitMQ and PostgreSQL: seen by staff only, replayed once, harmless if handled before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from echo.process import Echo
from kombu import Connection, entity

from chassis import context
from chassis.identity import IdentitySigner
from chassis.messages import dump_checked
from chassis.messaging import inmemory
from chassis.messaging.dead_letters import DeadLetterList, DeadLetters, Selection
from chassis.messaging.failures import FailureDesk
from chassis.messaging.incoming import Arrived
from chassis.messaging.link import connect
from chassis.messaging.topology import Subscription, declare_service
from chassis.persistence import Database
from chassis.persistence.tables import DEAD_LETTER, INBOX
from chassis.rpc import RpcClient
from chassis.service import Service
from chassis.testing import FixedClock, create_tables, identity, wait_until
from kernel.errors import Kind, Refusal

QUEUE = "echo.on.echo.said.v1"
SECRET = "opensesame"  # stands for what a body may hold


def said(text: str, number: int = 1) -> bytes:
    return json.dumps(
        {"id": f"evt_{number}", "type": "echo.said.v1", "occurred_at": "2026-11-22T12:00:00Z", "data": {"text": text}}
    ).encode()


def park(database: Database, body: bytes, cause: str = "RuntimeError", queue: str = QUEUE, **headers: Any) -> None:
    headers = {"correlation_id": "cor_first", "x-attempt": 3, **headers}
    FailureDesk(database, lambda _: None).park(Arrived(queue, body, headers, "application/json"), cause)


@pytest.fixture
def database(echo: Echo) -> Iterator[Database]:
    database = Database(echo.database_url)
    yield database
    database.close()


@pytest.fixture
def letters(echo: Echo, database: Database) -> DeadLetters:
    return DeadLetters(database, echo.amqp_uri)


def ask(client: RpcClient, echo: Echo, role: str, method: str, **data: Any) -> Any:
    token = IdentitySigner(echo.signing_key).sign(identity(role=role))
    with context.entered(context.RequestContext("cor_operator", token)):
        return client.call("echo", method, data, timeout_s=20)


def waiting(letters: DeadLetters) -> list[str]:
    items = letters.page(Selection(), 100)["items"]
    return [item["cause"] for item in items if item["replayed_at"] is None]


def test_staff_see_everything_but_the_body(echo: Echo, client: RpcClient, database: Database) -> None:
    park(database, said(SECRET), identity="a signed statement", **{"x-death": "[...]"})
    park(database, b"{", "malformed:not_json")
    for role in ("finance", "support", "superuser"):
        answer = ask(client, echo, role, "list_dead_letters")
        assert {item["cause"] for item in answer["items"]} == {"malformed:not_json", "RuntimeError"}
    [shown] = [item for item in answer["items"] if item["cause"] == "RuntimeError"]
    assert 0 <= shown.pop("age_s") < 60
    assert shown.pop("id").startswith("dlt_")
    assert shown.pop("parked_at")
    assert shown == {
        "queue": QUEUE, "event_id": "evt_1", "cause": "RuntimeError", "attempts": 3, "replayed_at": None,
        "headers": {"correlation_id": "cor_first", "x-attempt": "3", "identity": "…", "x-death": "…"},
    }  # fmt: skip
    assert SECRET not in json.dumps(answer)


def test_nobody_else_sees_or_replays_anything(echo: Echo, client: RpcClient, database: Database) -> None:
    park(database, said("never"))
    refused = [(role, "list_dead_letters", {}) for role in ("ticket", "viewer", "buyer", "admin")]
    refused += [
        (role, "replay_dead_letters", {"all": True}) for role in ("ticket", "viewer", "buyer", "admin", "finance")
    ]
    for role, method, data in refused:
        with pytest.raises(Refusal) as caught:
            ask(client, echo, role, method, **data)
        assert caught.value.kind is Kind.FORBIDDEN, (role, method)
    with pytest.raises(Refusal) as caught:
        client.call("echo", "replay_dead_letters", {"all": True})
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert echo.effects() == []


def test_what_failed_is_handled_after_a_replay_however_often_that_is_asked(
    echo: Echo, client: RpcClient, database: Database, letters: DeadLetters
) -> None:
    park(database, said("mended"))
    [letter] = letters.page(Selection(), 10)["items"]
    assert ask(client, echo, "support", "replay_dead_letters", id=letter["id"]) == {"replayed": 1, "remaining": 0}
    assert ask(client, echo, "support", "replay_dead_letters", id=letter["id"]) == {"replayed": 0, "remaining": 0}
    wait_until(lambda: echo.effects() == ["handled mended"], "the event to be handled")
    [after] = letters.page(Selection(), 10)["items"]
    assert after["replayed_at"] is not None
    with pytest.raises(Refusal) as caught:
        ask(client, echo, "support", "replay_dead_letters", id="dlt_nobody")
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("data", [{}, {"id": "dlt_1", "all": True}, {"all": False}, {"all": "yes"}])
def test_an_unclear_replay_is_refused(data: dict[str, Any], echo: Echo, client: RpcClient, database: Database) -> None:
    park(database, said("never"))
    with pytest.raises(Refusal) as caught:
        ask(client, echo, "support", "replay_dead_letters", **data)
    assert caught.value.code == "validation_failed"
    assert database_rows(database, DEAD_LETTER.c.replayed_at) == [None]


def database_rows(database: Database, column: sa.ColumnElement[Any]) -> list[Any]:
    with database.reading() as reader:
        return list(reader.execute(sa.select(column)).scalars())


def test_a_cause_is_replayed_without_the_others(
    echo: Echo, client: RpcClient, database: Database, letters: DeadLetters
) -> None:
    park(database, said("one", 1), "KeyError")
    park(database, said("two", 2), "KeyError")
    park(database, said("three", 3), "keyerror")
    park(database, said("four", 4), "Key%")
    assert ask(client, echo, "superuser", "replay_dead_letters", cause_prefix="KeyE") == {"replayed": 2, "remaining": 0}
    assert ask(client, echo, "superuser", "replay_dead_letters", cause_prefix="K_y") == {"replayed": 0, "remaining": 0}
    wait_until(lambda: sorted(echo.effects()) == ["handled one", "handled two"], "both")
    assert sorted(waiting(letters)) == ["Key%", "keyerror"]
    assert letters.page(Selection(cause_prefix="Key%"), 10)["items"][0]["event_id"] == "evt_4"
    assert letters.page(Selection(queue="echo.on.other"), 10)["items"] == []


def test_what_was_handled_before_has_no_second_effect(echo: Echo, database: Database, letters: DeadLetters) -> None:
    with database.transaction() as transaction:
        transaction.execute(sa.insert(INBOX).values(consumer=QUEUE, event_id="evt_1", handled_at=transaction.now))
    park(database, said("done long ago", 1))
    park(database, said("new", 2))
    assert letters.replay(Selection()) == {"replayed": 2, "remaining": 0}
    wait_until(lambda: echo.effects() == ["handled new"], "the other one")


def test_what_fails_again_is_parked_again_with_new_attempts(
    echo: Echo, database: Database, letters: DeadLetters
) -> None:
    park(database, said("always fails"), "KeyError")
    assert letters.replay(Selection()) == {"replayed": 1, "remaining": 0}
    wait_until(lambda: waiting(letters) == ["RuntimeError"], "it to be parked again")
    again, first = letters.page(Selection(), 10)["items"]
    assert (again["attempts"], again["headers"]["correlation_id"]) == (3, "cor_first")
    assert first["replayed_at"] is not None
    assert echo.effects() == ["attempt 1", "attempt 2", "attempt 3"]


def test_replaying_all_ends_though_everything_fails_again_at_once(
    echo: Echo, database: Database, letters: DeadLetters
) -> None:
    for _ in range(250):  # more than one batch
        park(database, b"no event", "malformed:not_json")
    assert letters.replay(Selection()) == {"replayed": 250, "remaining": 0}
    wait_until(lambda: len(database_rows(database, DEAD_LETTER.c.id)) == 500, "all to be parked again")


def test_operators_at_once_replay_each_letter_once(echo: Echo, letters: DeadLetters, database: Database) -> None:
    echo.kill()  # so that every copy stays in the queue to be counted
    for number in range(150):
        park(database, said("x", number))
    with ThreadPoolExecutor(4) as operators:
        answers = list(operators.map(lambda _: letters.replay(Selection()), range(4)))
    assert sum(answer["replayed"] for answer in answers) == 150
    assert sorted(events_in_queue(echo.amqp_uri)) == sorted(f"evt_{number}" for number in range(150))
    assert waiting(letters) == []


def events_in_queue(uri: str) -> list[str]:
    found = []
    with Connection(uri) as connection:
        queue = entity.Queue(QUEUE, channel=connection.default_channel, no_declare=True)
        while (message := queue.get(no_ack=True)) is not None:
            assert "x-attempt" not in message.headers
            assert message.headers["correlation_id"] == "cor_first"
            found.append(json.loads(message.body)["id"])
    return found


def test_a_letter_whose_queue_is_gone_stays(echo: Echo, database: Database, letters: DeadLetters) -> None:
    park(database, said("lost"), queue="echo.on.echo.muttered.v1")
    park(database, said("mended"))
    assert letters.replay(Selection()) == {"replayed": 1, "remaining": 1}
    wait_until(lambda: echo.effects() == ["handled mended"], "the other one")
    assert len(waiting(letters)) == 1


def test_a_broker_that_is_away_loses_nothing(echo: Echo, database: Database, letters: DeadLetters) -> None:
    park(database, said("mended"))
    with pytest.raises(Refusal) as caught:
        DeadLetters(database, "amqp://guest:guest@127.0.0.1:1//").replay(Selection())
    assert caught.value.kind is Kind.UNAVAILABLE
    assert waiting(letters) == ["RuntimeError"]


def test_a_call_takes_the_oldest_so_many(echo: Echo, database: Database, letters: DeadLetters) -> None:
    for number in range(5):
        park(database, said(f"{number}", number))
    assert letters.replay(Selection(), at_most=2) == {"replayed": 2, "remaining": 3}
    oldest = letters.page(Selection(), 10)["items"][-2:]
    assert all(item["replayed_at"] for item in oldest)


class TestEmbedded:
    """SQLite and the bus in memory."""

    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock()

    @pytest.fixture
    def database(self, tmp_path: Any, clock: FixedClock) -> Iterator[Database]:
        database = create_tables(Database(f"sqlite:///{tmp_path / 'echo.db'}", clock))
        yield database
        database.close()

    @pytest.fixture
    def letters(self, database: Database) -> DeadLetters:
        return DeadLetters(database, "memory://")

    def test_a_letter_goes_back_to_its_queue_once(self, database: Database, letters: DeadLetters) -> None:
        inmemory.Transport.forget_everything()
        connection = connect("memory://")
        connection.connect()
        declare_service(connection.channel(), "echo", [Subscription("echo", "echo.said.v1")])
        park(database, said("mended"))
        assert letters.replay(Selection()) == {"replayed": 1, "remaining": 0}
        assert letters.replay(Selection()) == {"replayed": 0, "remaining": 0}
        queue = entity.Queue(QUEUE, channel=connection.channel(), no_declare=True)
        message = queue.get(no_ack=True)
        assert (message.body, message.content_type) == (said("mended"), "application/json")
        assert message.headers == {"correlation_id": "cor_first"}
        assert queue.get(no_ack=True) is None
        connection.release()

    def test_a_letter_without_a_queue_stays(self, database: Database, letters: DeadLetters) -> None:
        inmemory.Transport.forget_everything()
        park(database, said("lost"))
        assert letters.replay(Selection()) == {"replayed": 0, "remaining": 1}

    def test_pages_and_age(self, database: Database, letters: DeadLetters, clock: FixedClock) -> None:
        for number in range(3):
            park(database, said("x", number), f"Error{number}")
        clock.advance(hours=2)
        first = letters.page(Selection(), 2)
        last = letters.page(Selection(), 2, first["next"])
        causes = [item["cause"] for item in first["items"] + last["items"]]
        assert sorted(causes) == ["Error0", "Error1", "Error2"]
        assert last["next"] is None
        assert {item["age_s"] for item in first["items"]} == {7200}
        assert dump_checked(DeadLetterList(), first)

    def test_they_are_kept_for_30_days(self, database: Database, letters: DeadLetters, clock: FixedClock) -> None:
        park(database, said("old"), "Old")
        clock.advance(days=29)
        park(database, said("new"), "New")

        class Whatever:
            pass

        service = Service()
        service.app = Whatever()
        service.app.database = database
        service.clean_up()
        assert sorted(waiting(letters)) == ["New", "Old"]
        clock.advance(days=1, seconds=1)
        service.clean_up()
        assert waiting(letters) == ["New"]
        assert letters.page(Selection(), 10)["items"][0]["age_s"] == 24 * 3600 + 1
