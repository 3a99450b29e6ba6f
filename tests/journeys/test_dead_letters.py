"""Staff look at dead letters and replay them over HTTP, in both modes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from store import Client, Store

from chassis.messaging.failures import FailureDesk
from chassis.messaging.incoming import Arrived
from chassis.persistence import Database
from chassis.persistence.tables import DEAD_LETTER, OUTBOX
from chassis.testing import wait_until

pytestmark = pytest.mark.journey

LETTERS = "/v1/admin/dead-letters"
QUEUE = "credits.on.cart.order_paid.v1"


def database(request: pytest.FixtureRequest, store: Store, service: str) -> Database:
    if store.embedded:
        return Database(f"sqlite:///{store.folder / f'{service}.db'}")
    return Database(request.getfixturevalue("postgres_url")(f"punchcard_{service}"))


@pytest.fixture
def credits_database(request: pytest.FixtureRequest, store: Store) -> Iterator[Database]:
    found = database(request, store, "credits")
    yield found
    with found.transaction() as transaction:  # the other journeys find the store as they left it
        transaction.execute(sa.delete(DEAD_LETTER).where(DEAD_LETTER.c.queue == QUEUE))
    found.close()


def park(credits_database: Database, body: bytes, cause: str) -> None:
    FailureDesk(credits_database, lambda _: None).park(Arrived(QUEUE, body, {}, "application/json"), cause)


def paid_event(request: pytest.FixtureRequest, store: Store, order_id: str) -> bytes:
    """The event that cart sent when the order was paid."""
    cart = database(request, store, "cart")
    with cart.reading() as reader:
        rows = reader.all(sa.select(OUTBOX.c.body).where(OUTBOX.c.type == "cart.order_paid.v1"))
    cart.close()
    (found,) = [row["body"] for row in rows if order_id in row["body"]]
    return str(found).encode()


def items(staff: Client, cause: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = staff.get(f"{LETTERS}?service=credits&cause={cause}")["items"]
    return found


def test_a_replay_reaches_the_handler_and_doubles_nothing(
    request: pytest.FixtureRequest, store: Store, credits_database: Database
) -> None:
    ada, staff = store.client(), store.client("sam@punchcard.example")
    ada.empty_cart()
    order = ada.place(ada.order_body(ada.fill_cart(destination="organization"))).json()
    ada.fulfilled(order["id"])
    balance = ada.balance()
    body = paid_event(request, store, order["id"])
    park(credits_database, body, "Handled")
    park(credits_database, b"no event", "malformed:not_json")

    (handled,) = items(staff, "Handled")
    assert (handled["event_id"], handled["replayed_at"]) == (json.loads(body)["id"], None)
    replay = {"service": "credits", "id": handled["id"]}
    assert staff.ask("POST", f"{LETTERS}/replay", replay).json() == {"replayed": 1, "remaining": 0}
    assert staff.ask("POST", f"{LETTERS}/replay", replay).json() == {"replayed": 0, "remaining": 0}
    replay = {"service": "credits", "cause": "malformed:not_json"}
    assert staff.ask("POST", f"{LETTERS}/replay", replay).json() == {"replayed": 1, "remaining": 0}
    # what is no event is parked again: the handler's queue has taken both by then
    wait_until(lambda: len(items(staff, "malformed:not_json")) == 2, "it to be parked again")
    assert ada.balance() == balance
    assert [item["id"] for item in items(staff, "Handled")] == [handled["id"]]


def test_customers_get_nowhere(store: Store, credits_database: Database) -> None:
    park(credits_database, b"no event", "malformed:not_json")
    ada, finance = store.client(), store.client("fay@punchcard.example")
    replay = {"service": "credits", "cause": "malformed"}
    for client, method, path, body in (
        (ada, "GET", LETTERS, None),
        (ada, "POST", f"{LETTERS}/replay", replay),
        (finance, "POST", f"{LETTERS}/replay", replay),
    ):
        answer = client.ask(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    (waiting,) = items(finance, "malformed")
    assert waiting["replayed_at"] is None
