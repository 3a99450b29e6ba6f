"""``punchcard dead-letters``, as an operator types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from kombu import Connection, entity

from chassis.messaging.failures import FailureDesk
from chassis.messaging.incoming import Arrived
from chassis.messaging.topology import Subscription, declare_service
from chassis.persistence import Database
from chassis.persistence.tables import DEAD_LETTER
from chassis.testing import create_tables
from punchcard.cli import main
from punchcard.dead_letters import age

EVENT = Subscription("cart", "tests.dead_lettered.v1")
BODY = b'{"id": "evt_1", "data": "opensesame"}'


def park(database: Database, cause: str = "RuntimeError", body: bytes = BODY) -> str:
    headers = {"correlation_id": "cor_1\x1b[31m", "x-attempt": 9, "identity": "signed"}
    FailureDesk(database, lambda _: None).park(Arrived(EVENT.queue, body, headers, "application/json"), cause)
    with database.reading() as reader:
        return str(reader.scalar(sa.select(sa.func.max(DEAD_LETTER.c.id))))


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("accounts", "catalog", "cart", "payments", "credits", "support", "notifications"):
        monkeypatch.delenv(f"{name.upper()}_DATABASE_URL", raising=False)
    monkeypatch.delenv("AMQP_URI", raising=False)
    return monkeypatch


@pytest.fixture
def cart(clean: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    url = f"sqlite:///{tmp_path / 'cart.db'}"
    clean.setenv("CART_DATABASE_URL", url)
    return create_tables(Database(url))


def test_a_table_with_everything_but_the_body(cart: Database, capsys: pytest.CaptureFixture[str]) -> None:
    letter = park(cart)
    assert main(["dead-letters", "list"]) == 0
    out, err = capsys.readouterr()
    title, columns, row, headers = out.splitlines()
    assert title == "cart: 1"
    assert columns.split() == ["ID", "QUEUE", "CAUSE", "ATTEMPTS", "AGE", "STATE"]
    assert row.split()[:4] == [letter, EVENT.queue, "RuntimeError", "9"]
    assert row.split()[5:] == ["s", "waits"]
    assert headers.strip() == "event evt_1 correlation_id=cor_1?[31m identity=… x-attempt=9"
    assert "opensesame" not in out
    assert "not asked" in err
    assert "ACCOUNTS_DATABASE_URL" in err


def test_of_one_service_and_cause(cart: Database, capsys: pytest.CaptureFixture[str]) -> None:
    for cause in ("KeyError", "KeyError", "malformed:type"):
        park(cart, cause)
    assert main(["dead-letters", "list", "--service", "cart", "--cause", "malformed"]) == 0
    out, err = capsys.readouterr()
    assert (out.count("malformed:type"), out.count("KeyError"), err) == (1, 0, "")
    assert main(["dead-letters", "list", "--service", "cart", "--limit", "2"]) == 0
    assert "the newest 2; --limit shows more" in capsys.readouterr().out
    assert main(["dead-letters", "list", "--cause", "nothing"]) == 0
    assert capsys.readouterr().out == "cart: no dead letters\n"


def test_it_says_what_is_missing(clean: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["dead-letters", "list", "--service", "cart"]) == 1
    assert "set CART_DATABASE_URL" in capsys.readouterr().err
    assert main(["dead-letters", "replay", "--all"]) == 1
    assert "AMQP_URI is not set" in capsys.readouterr().err
    clean.setenv("CART_DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:1/none")
    assert main(["dead-letters", "list", "--service", "cart"]) == 1
    assert "cart's database does not answer" in capsys.readouterr().err
    clean.setenv("AMQP_URI", "memory://")
    assert main(["dead-letters", "replay", "--all"]) == 1
    assert "/v1/admin/dead-letters/replay" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["--id", "x", "--all"], ["--cause", "x", "--id", "y"], ["--all", "--service", "x"]]
)
def test_a_replay_says_which(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", "replay", *words])
    assert ended.value.code == 2


def test_help_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (([], "AMQP_URI"), (["list"], "kept for 30 days"), (["replay"], "Each goes once")):
        with pytest.raises(SystemExit):
            main(["dead-letters", *words, "--help"])
        assert said in " ".join(capsys.readouterr().out.split())


def test_replay_on_the_real_broker(
    clean: pytest.MonkeyPatch, amqp_uri: str, new_postgres: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    clean.setenv("AMQP_URI", amqp_uri)
    databases = {}
    for name in ("cart", "credits"):
        url = new_postgres()
        clean.setenv(f"{name.upper()}_DATABASE_URL", url)
        databases[name] = create_tables(Database(url))
    one = park(databases["cart"])
    park(databases["cart"], "KeyError")
    park(databases["cart"], "KeyError")
    last = park(databases["credits"], "malformed:type")

    def replay(*words: str) -> list[str]:
        assert main(["dead-letters", "replay", *words]) == 0
        return capsys.readouterr().out.splitlines()

    with Connection(amqp_uri) as connection:
        channel = connection.default_channel
        queue = entity.Queue(EVENT.queue, channel=channel, no_declare=True)
        try:
            left = "left: no such queue (`punchcard topology`), or somebody replays them"
            assert replay("--id", one) == ["cart: 0 replayed", f"cart: 1 {left}"]
            declare_service(channel, "cart", [EVENT])
            assert replay("--id", one) == ["cart: 1 replayed"]
            assert replay("--id", one) == ["cart: 0 replayed"]
            assert replay("--cause", "Key", "--service", "cart") == ["cart: 2 replayed"]
            assert replay("--all") == ["cart: 0 replayed", "credits: 1 replayed"]
            bodies = [queue.get(no_ack=True).body.encode() for _ in range(4)]
            assert bodies == [BODY] * 4
            assert queue.get(no_ack=True) is None
        finally:
            for name in (EVENT.queue, "cart.dead", "rpc-cart"):
                channel.queue_delete(name)
    assert main(["dead-letters", "replay", "--id", "dlt_nobody"]) == 1
    assert "There is no dead letter dlt_nobody" in capsys.readouterr().err
    assert main(["dead-letters", "list", "--service", "credits"]) == 0
    shown = capsys.readouterr().out
    assert last in shown
    assert "replayed 20" in shown
    for database in databases.values():
        database.close()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (86400 * 3, "3 d")]
)
def test_age(seconds: int, shown: str) -> None:
    assert age(seconds) == shown
