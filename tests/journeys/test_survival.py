"""Kill things in the middle: nothing is lost, nothing happens twice, no secret is left lying about.

The faults one by one, in the services mode, are in tests/faults.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from kombu import Connection
from store import Client, Store, card_mail, number_and_code, settle

from chassis.testing import wait_until
from punchcard.parts import SERVICES

pytestmark = pytest.mark.journey


@pytest.fixture
def own_store(folders: Path) -> Iterator[Store]:
    """An embedded store of this test's own, to be killed."""
    store = Store(folders / f"own-{uuid.uuid4().hex[:8]}", "run")
    yield store
    store.close()


def test_killed_between_payment_and_mail_the_mail_comes_once(own_store: Store) -> None:
    own_store.start()
    ada = own_store.client()
    mailbox = own_store.folder / "mail"
    kept = mailbox.rename(own_store.folder / "mail.away") if mailbox.exists() else None
    mailbox.write_text("no folder: mails cannot be sent")
    order = ada.fulfilled(ada.buy_card()["id"])
    own_store.kill()
    mailbox.unlink()
    if kept:
        kept.rename(mailbox)
    own_store.start()
    assert number_and_code(card_mail(own_store, order))
    settle(2)
    assert len(own_store.card_mails(order["number"])) == 1
    assert len(own_store.charges(order["id"])) == 1


def test_killed_at_any_moment_every_paid_order_gets_its_one_card(own_store: Store) -> None:
    own_store.start()
    numbers: dict[str, str] = {}
    for pause in (0.0, 0.01, 0.03, 0.1):
        ada = own_store.client()
        ada.empty_cart()
        cart = ada.fill_cart()
        body, key = ada.order_body(cart), str(uuid.uuid4())
        with ThreadPoolExecutor(1) as pool:
            placed = pool.submit(_try_to_place, ada, body, key)
            time.sleep(pause)
            own_store.kill()
            placed.result()
        own_store.start()
        ada = own_store.client()
        again = _until_placed(ada, body, key)
        numbers[again["id"]] = again["number"]
    for order_id, number in numbers.items():
        done = own_store.client().fulfilled(order_id)
        assert len(done["support_cards"]) == 1
        wait_until(lambda number=number: own_store.card_mails(number), "the card mail")
        assert len(own_store.charges(order_id)) == 1
    settle(2)
    for number in numbers.values():
        assert len(own_store.card_mails(number)) == 1
    assert len(own_store.client().get("/v1/orders?limit=100")["items"]) == len(numbers)


def _try_to_place(client: Client, body: dict[str, Any], key: str) -> None:
    with contextlib.suppress(requests.ConnectionError):  # the store was killed under it: what the test is about
        client.place(body, key)


def _until_placed(client: Client, body: dict[str, Any], key: str) -> Any:
    """Ask again with the same key, as a client does, until the answer is there."""
    answers: list[Any] = []

    def placed() -> bool:
        answers.append(client.place(body, key))
        return answers[-1].status_code in (201, 202)

    wait_until(placed, "the order to be placed")
    return answers[-1].json()


def test_a_restart_keeps_everything(own_store: Store) -> None:
    own_store.start()
    ada = own_store.client()
    order = ada.fulfilled(ada.buy_card()["id"])
    token = ada.http.headers["Authorization"]
    demo = own_store.demo
    assert own_store.stop() == 0
    own_store.start()
    assert own_store.demo["api_keys"] == demo["api_keys"]
    kept = requests.get(
        f"{own_store.base_url}/v1/orders/{order['id']}", headers={"Authorization": str(token)}, timeout=10
    )
    assert kept.json()["support_cards"] == order["support_cards"]
    assert len(own_store.card_mails(order["number"])) == 1


def test_a_taken_port_and_a_taken_folder_are_clear_errors(own_store: Store, embedded_store: Store) -> None:
    own_store.port = embedded_store.port
    with pytest.raises(AssertionError, match=f"Port {embedded_store.port} is taken. Choose another one"):
        own_store.start()
    same_folder = Store(embedded_store.folder, "run")
    assert same_folder.port != embedded_store.port
    with pytest.raises(AssertionError, match="Another store already runs"):
        same_folder.start()


def test_credits_killed_while_fifty_purchases_go_through(services_store: Store, amqp_uri: str) -> None:
    clients = [services_store.client(email) for email in ("ada@acme.example", "alan@acme.example")]
    for client in clients:
        client.empty_cart()
    os.kill(services_store.pid_of("credits"), signal.SIGKILL)
    orders: list[Any] = []
    for _ in range(25):
        with ThreadPoolExecutor(2) as pool:
            orders += pool.map(Client.buy_card, clients)
    assert len({order["id"] for order in orders}) == 50
    for order in orders:
        done = clients[0].fulfilled(order["id"], 90)
        assert len(done["support_cards"]) == 1
    wait_until(lambda: all(services_store.card_mails(order["number"]) for order in orders), "fifty mails", 60)
    settle(2)
    mails = services_store.mails()
    for order in orders:
        found = [mail for mail in mails if "Claim code:" in mail["text"] and order["number"] in mail["text"]]
        assert len(found) == 1
        assert len(services_store.charges(order["id"])) == 1
    assert services_store.ledger_breaks(amqp_uri) == []


def test_poison_on_the_bus_is_parked_and_stops_nothing(
    services_store: Store, amqp_uri: str, postgres_url: Callable[[str], str]
) -> None:
    half_right = {
        "id": "evt_x", "type": "cart.order_paid.v1", "occurred_at": "2026-11-22T00:00:00Z", "data": {"order_id": 7},
    }  # fmt: skip
    with Connection(amqp_uri) as connection:
        producer = connection.Producer(serializer="json")
        for body in ({"not": "an event"}, half_right):
            producer.publish(body, exchange="cart.events", routing_key="order_paid.v1")
    for service in ("credits", "accounts", "notifications"):
        engine = sa.create_engine(postgres_url(f"punchcard_{service}"), poolclass=sa.NullPool)

        def parked(engine: sa.Engine = engine) -> bool:
            with engine.connect() as connection:
                causes = list(connection.scalars(sa.text("SELECT cause FROM dead_letter")))
            return len([cause for cause in causes if cause.startswith("malformed:")]) >= 2

        wait_until(parked, f"the poison to be parked in {service}", 90)
    ada = services_store.client()
    ada.empty_cart()
    assert ada.fulfilled(ada.buy_card()["id"])["state"] == "fulfilled"


def test_no_claim_code_stands_in_any_database_queue_or_log(
    store: Store, amqp_uri: str, postgres_url: Callable[[str], str]
) -> None:
    ada = store.client()
    ada.empty_cart()
    number, code = number_and_code(card_mail(store, ada.buy_card()))
    wrong = "A" + code[1:] if code[0] != "A" else "B" + code[1:]
    for attempt in (wrong, code):
        ada.ask("POST", "/v1/support-cards/claim", {"number": number, "code": attempt}, key=str(uuid.uuid4()))
    codes = {spelling for mail in store.mails() if "Claim code:" in mail["text"]
             for spelling in _spellings(number_and_code(mail)[1])}  # fmt: skip
    assert len(codes) >= 2
    places = dict(_files(store.folder))
    places["output"] = store.output.read_text(errors="replace")
    if not store.embedded:
        for service in SERVICES:
            places[f"database of {service}"] = _dump(postgres_url(f"punchcard_{service}"))
    assert any("SCC-" in text for text in places.values()), "the search would find nothing anywhere"
    pattern = re.compile("|".join(map(re.escape, codes)))
    assert [place for place, text in places.items() if pattern.search(text)] == []


def _spellings(code: str) -> set[str]:
    bare = code.replace("-", "")
    return {code, bare, code.lower(), bare.lower(), bare[:12]}


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for file in folder.rglob("*"):
        if file.is_file() and "mail" not in file.relative_to(folder).parts[0]:
            yield str(file), file.read_bytes().decode("latin-1")


def _dump(url: str) -> str:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows = [
            dict(row)
            for table in sa.inspect(connection).get_table_names()
            for row in connection.execute(sa.text(f'SELECT * FROM "{table}"')).mappings()
        ]
    return json.dumps(rows, default=_as_text)


def _as_text(value: Any) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, (bytes, memoryview)) else str(value)
