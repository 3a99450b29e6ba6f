"""Events that are handled several at a time: on the real RabbitMQ and PostgreSQL, and over the in-memory bus."""

from __future__ import annotations

import re
import uuid
from typing import Any

from echo.process import Echo
from test_bus import call, publish, said

from chassis import context
from chassis.rpc import RpcClient
from chassis.testing import wait_until


def counted(text: str, **changes: Any) -> dict[str, Any]:
    return said(text, type="echo.counted.v1", **changes)


def words(echo: Echo) -> list[str]:
    """What was counted, in order."""
    return [effect.split()[1] for effect in echo.effects() if effect.startswith("counted")]


def batches(echo: Echo) -> set[int]:
    """How many were handled at once."""
    return {int(found[1]) for effect in echo.effects() if (found := re.search(r" of (\d+) ", effect))}


def test_an_event_alone_is_handled_at_once(echo: Echo, client: RpcClient) -> None:
    with context.entered(context.RequestContext("cor_alone_in_the_test")):
        call(client, "count", {"text": "alone"})
    wait_until(lambda: echo.effects() == ["counted alone of 1 for cor_alone_in_the_test"], "the event")


def test_what_gathers_is_handled_together_in_order_and_each_under_its_own_correlation_id(
    echo: Echo, client: RpcClient
) -> None:
    with context.entered(context.RequestContext("cor_the_first")):
        call(client, "count", {"text": "slow"})
    wait_until(lambda: echo.rows("SELECT count(*) FROM outbox") == [(1,)], "the first to leave")
    text = [f"n{number}" for number in range(25)]
    with context.entered(context.RequestContext("cor_the_second")):
        call(client, "count", {"text": " ".join(text)})
    wait_until(lambda: len(words(echo)) == 26, "all of them")
    assert words(echo) == ["slow", *text]
    assert max(batches(echo)) == 10, "no more at once than the handler asked for"
    assert {effect.split()[-1] for effect in echo.effects()} == {"cor_the_first", "cor_the_second"}


def test_one_that_fails_spoils_it_for_no_other(echo: Echo, client: RpcClient) -> None:
    call(client, "count", {"text": "slow a b spoils c"})
    wait_until(lambda: echo.rows("SELECT cause FROM dead_letter") == [("RuntimeError",)], "it to be parked")
    assert sorted(words(echo)) == ["a", "b", "c", "slow"]
    call(client, "count", {"text": "after"})
    wait_until(lambda: "after" in words(echo), "the next one")


def test_poison_among_them_is_parked(echo: Echo, client: RpcClient) -> None:
    call(client, "count", {"text": "slow"})
    for text in ("a", "b"):
        publish(echo.amqp_uri, counted(text), key="counted.v1")
        publish(echo.amqp_uri, "{ broken", key="counted.v1", content_type="application/json",
                content_encoding="utf-8", serializer=None)  # fmt: skip
    wait_until(lambda: echo.rows("SELECT count(*) FROM dead_letter") == [(2,)], "both to be parked")
    wait_until(lambda: words(echo) == ["slow", "a", "b"], "the sound ones")


def test_the_same_event_twice_in_one_batch_is_handled_once(echo: Echo, client: RpcClient) -> None:
    call(client, "count", {"text": "slow"})
    wait_until(lambda: echo.rows("SELECT count(*) FROM outbox") == [(1,)], "the first to leave")
    twice = counted("twice", id=f"evt_{uuid.uuid4()}")
    for _ in range(3):
        publish(echo.amqp_uri, twice, key="counted.v1")
    publish(echo.amqp_uri, counted("last"), key="counted.v1")
    wait_until(lambda: "last" in words(echo), "the last")
    assert words(echo) == ["slow", "twice", "last"]


def test_kill_9_in_the_middle_hands_all_of_them_to_the_next_process(echo: Echo, client: RpcClient) -> None:
    call(client, "count", {"text": "a slow b"})
    wait_until(lambda: echo.rows("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL") == [(3,)], "all to leave")
    echo.kill()
    echo.start()
    wait_until(lambda: sorted(words(echo)) == ["a", "b", "slow"], "each, once")


def test_sigterm_finishes_what_was_taken(echo: Echo, client: RpcClient) -> None:
    call(client, "count", {"text": "slow a b"})
    wait_until(lambda: echo.rows("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL") == [(3,)], "all to leave")
    assert echo.stop() == 0
    before = sorted(words(echo))
    echo.start()
    call(client, "count", {"text": "after"}, timeout_s=20)
    wait_until(lambda: "after" in words(echo), "the next one")
    assert sorted(words(echo)) == sorted([*before, "after", *({"slow", "a", "b"} - set(before))])
