"""The embedded bus keeps what the chassis expects of a broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import entity, messaging

from chassis.messaging import inmemory
from chassis.messaging.inmemory import Unroutable
from chassis.messaging.link import Link, connect
from chassis.messaging.topology import Subscription, declare_retries, declare_service, retry_exchange

WANTED = Subscription("tests", "shop.sold.v1")


@pytest.fixture
def link() -> Iterator[Link]:
    inmemory.Transport.forget_everything()
    connection = connect("memory://")
    connection.connect()
    yield Link(connection)
    connection.release()


def consume(link: Link, queue: str, prefetch: int = 10) -> list[Any]:
    got: list[Any] = []
    messaging.Consumer(
        link.channel, [entity.Queue(queue, no_declare=True)], on_message=got.append, auto_declare=False,
        prefetch_count=prefetch,
    ).consume()  # fmt: skip
    return got


def put(link: Link, body: str = "{}", **options: Any) -> None:
    options = {"exchange": "shop.events", "routing_key": "sold.v1", **options}
    link.publish(body, **options)


def test_it_is_woken_by_a_put_and_does_not_poll(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    declare_service(link.channel, "tests", [WANTED])
    got = consume(link, WANTED.queue)
    looked: list[float] = []
    get = inmemory.Channel._get
    monkeypatch.setattr(
        inmemory.Channel, "_get", lambda self, queue, timeout=None: looked.append(1) or get(self, queue)
    )
    thread = threading.Thread(target=link.drain, args=(30,))
    thread.start()
    time.sleep(0.5)
    idle_looks = len(looked)
    other = Link(connect("memory://"))
    put(other)
    thread.join(10)
    assert len(got) == 1
    assert idle_looks <= 2, "it polled while nothing came"


def test_topics_reach_every_queue_bound_to_them(link: Link) -> None:
    second = Subscription("others", "shop.sold.v1")
    declare_service(link.channel, "tests", [WANTED])
    declare_service(link.channel, "others", [second])
    got, also = consume(link, WANTED.queue), consume(link, second.queue)
    put(link, '{"n": 1}')
    while link.drain(0.1):
        pass
    assert [message.body for message in got] == [message.body for message in also] == [b'{"n": 1}']
    assert got[0].delivery_tag != also[0].delivery_tag


def test_an_expired_message_is_not_delivered(link: Link) -> None:
    declare_service(link.channel, "tests", [WANTED])
    put(link, "late", expiration="1")
    put(link, "in time", expiration="60000")
    time.sleep(0.01)
    got = consume(link, WANTED.queue)
    while link.drain(0.1):
        pass
    assert [message.body for message in got] == [b"in time"]


def test_a_delayed_message_returns_to_the_queue_it_came_from(link: Link) -> None:
    declare_service(link.channel, "tests", [WANTED])
    declare_retries(link.channel, (1,))
    got = consume(link, WANTED.queue)
    put(link, "again", exchange=retry_exchange(1), routing_key=WANTED.queue)
    assert not link.drain(0.2)
    assert link.drain(10)
    assert [message.body for message in got] == [b"again"]


def test_a_mandatory_message_without_a_queue_is_an_error(link: Link) -> None:
    declare_service(link.channel, "shop", [])
    with pytest.raises(Unroutable):
        put(link, mandatory=True)
    put(link)  # not mandatory: dropped, as a broker does


def test_the_prefetch_window_holds_messages_back_until_one_is_acknowledged(link: Link) -> None:
    declare_service(link.channel, "tests", [WANTED])
    got = consume(link, WANTED.queue, prefetch=1)
    put(link, "1")
    put(link, "2")
    assert link.drain(1)
    assert not link.drain(0.1)
    link.ack(got[0].delivery_tag)
    assert link.drain(1)
    assert [message.body for message in got] == [b"1", b"2"]
