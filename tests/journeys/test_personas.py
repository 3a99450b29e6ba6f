"""A day of each of those for whom the store is, over HTTP, in both modes: a reseller, a buyer with a budget, a clerk.

The customer with a card is in `test_main_job.py`, the support engineer in `test_tickets.py`.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from store import Client, Store, card_mail, number_and_code

from catalog.cli import main as catalog
from catalog.use_cases.import_catalogue import demo_catalogue
from chassis.messaging.failures import FailureDesk
from chassis.messaging.incoming import Arrived
from chassis.persistence import Database
from chassis.testing import wait_until

pytestmark = pytest.mark.journey

CLERK, ENGINEER = "fay@punchcard.example", "sam@punchcard.example"
#: The queue of a letter that nobody can deliver.
QUEUE = "credits.on.cart.order_paid.v1"


@pytest.fixture
def url_of(request: pytest.FixtureRequest, store: Store) -> Callable[[str], str]:
    """Where the database of a service is."""
    if store.embedded:
        return lambda service: f"sqlite:///{store.folder / f'{service}.db'}"
    postgres_url: Callable[[str], str] = request.getfixturevalue("postgres_url")
    return lambda service: postgres_url(f"punchcard_{service}")


def mails(store: Store, order: Any, words: str, number: int = 1) -> list[Any]:
    """The mails about an order with those words, once so many are there."""

    def found() -> list[Any]:
        return [mail for mail in store.mails() if order["number"] in mail["text"] and words in mail["text"]]

    wait_until(lambda: len(found()) >= number, f"{number} mails with {words!r} about {order['number']}")
    assert len(found()) == number
    return found()


def post(client: Client, path: str, body: Any = None, status: int = 200) -> Any:
    response = client.ask("POST", path, body, key=str(uuid.uuid4()))
    assert response.status_code == status, response.text
    return response.json()


def test_a_reseller_buys_by_wire_for_two_customers(store: Store) -> None:
    sam, fay = store.client(ENGINEER), store.client(CLERK)
    rita, uma, hal = (store.client(f"{name}.example") for name in ("rita@initech", "uma@umbrella", "hal@hooli"))
    warehouses = {"org_umbrella": "41200310", "org_hooli": "41200301"}

    # staff say whose deployments the reseller sees; its customers see only their own
    for customer in warehouses:
        assert sam.ask("PUT", f"/v1/admin/organizations/org_initech/managed/{customer}").status_code == 200
    assert {item["id"] for item in rita.get("/v1/organization/managed")["items"]} == set(warehouses)
    seen = {item["id"]: item["owner"]["id"] for item in rita.get("/v1/deployments?q=412003")["items"]}
    assert seen == {deployment: customer for customer, deployment in warehouses.items()}
    assert [item["id"] for item in uma.get("/v1/deployments?q=412003")["items"]] == [warehouses["org_umbrella"]]
    before = {deployment: len(entitlements(rita, deployment)) for deployment in seen}
    balances = rita.balance(), uma.balance(), hal.balance()

    # one order for both: a contract each, and what support costs on cards to hand on
    rita.empty_cart()
    for deployment in seen:
        line = {"sku": "CONTRACT-STANDARD", "quantity": 1, "deployment_id": deployment}
        assert rita.ask("POST", "/v1/cart/lines", {**line, "credit_destination": "support_card"}).ok
    rita.fill_cart("HOURLY-600", "support_card", 2)
    order = post(rita, "/v1/orders", rita.order_body(rita.get("/v1/cart"), payment={"method": "wire"}), 201)
    total = order["totals"]["total"]["amount_minor"]
    assert total == 2 * 180000 + 2 * 108000
    (told,) = mails(store, order, "Payment reference: ")
    assert order["instructions"]["reference"] in told["text"]
    assert f"To pay: {total // 100}.00 USD" in told["text"]

    # the bank takes its fee; nothing is handed over until the rest is here
    bank_reference = f"IN-{order['number']}"
    short = fay.record(total - 1500, f"{bank_reference}-1", reference=order["instructions"]["reference"])
    assert (short.status_code, short.json()["payment"]["remaining"]["amount_minor"]) == (201, 1500)
    mails(store, order, "To pay: 15.00 USD")
    assert rita.get(f"/v1/orders/{order['id']}")["state"] == "awaiting_payment"
    assert {deployment: len(entitlements(rita, deployment)) for deployment in seen} == before
    assert store.card_mails(order["number"]) == []
    assert fay.record(1500, f"{bank_reference}-2", order_id=order["id"]).json()["payment"]["state"] == "captured"
    done = rita.fulfilled(order["id"])
    for client, deployment in ((uma, warehouses["org_umbrella"]), (hal, warehouses["org_hooli"])):
        bound = entitlements(client, deployment)
        assert (len(bound), bound[-1]["sku"]) == (before[deployment] + 1, "CONTRACT-STANDARD")
        assert {bound[-1]["order_id"]} == {order["id"]}
    assert len(done["support_cards"]) == 4
    cards = {card["id"]: card for card in rita.get("/v1/support-cards?role=issuer&limit=100")["items"]}
    of_order = [cards[card["id"]] for card in done["support_cards"]]
    assert sorted(card["credits"] for card in of_order) == [240, 240, 600, 600]

    # a card for one customer is worth nothing to the other
    letters = {number_and_code(mail) for mail in mails(store, order, "Claim code: ", 4)}
    assert len(letters) == 4
    card = next(each for each in of_order if each["credits"] == 600)
    bound_card = post(rita, f"/v1/support-cards/{card['id']}/bind", {"organization_number": "1006"})
    assert bound_card["bound_to"] == {"organization_number": "1006", "mail_domain": None}
    (letter,) = [
        {"number": number, "code": code} for number, code in letters if number[-4:] == card["number_masked"][-4:]
    ]
    assert post(hal, "/v1/support-cards/claim", letter, 409)["code"] == "card_not_for_you"
    assert post(uma, "/v1/support-cards/preview", letter)["credits"] == 600
    claimed = post(uma, "/v1/support-cards/claim", letter)
    assert claimed["card"]["claimant"]["id"] == "org_umbrella"
    assert (rita.balance(), uma.balance(), hal.balance()) == (balances[0], balances[1] + 600, balances[2])
    (notice,) = claim_notices(store, card)
    assert "rita@initech.example" in notice["to"]
    assert "Umbrella Foods" in notice["text"]


def entitlements(client: Client, deployment_id: str) -> list[Any]:
    found: list[Any] = client.get(f"/v1/deployments/{deployment_id}")["entitlements"]
    return found


def claim_notices(store: Store, card: Any) -> list[Any]:
    """The mails that tell the issuer of a claim."""

    def found() -> list[Any]:
        return [m for m in store.mails() if "claimed" in m["subject"] and card["number_masked"] in m["text"]]

    wait_until(found, "the issuer to be told")
    return found()


@contextmanager
def price_of(sku: str, now: str, then: str, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody imports a catalogue with another price, and the old one again in the end."""
    monkeypatch.setenv("CATALOG_DATABASE_URL", url)
    demo = demo_catalogue()
    before, named, after = demo.partition(f"sku: {sku}")
    file = folder / "catalogue.yaml"
    file.write_text(before + named + after.replace(f'amount: "{now}"', f'amount: "{then}"', 1))
    assert file.read_text() != demo
    assert catalog(["import", str(file)]) == 0
    try:
        yield
    finally:
        file.write_text(demo)
        assert catalog(["import", str(file)]) == 0


def test_from_a_quote_to_a_paid_order_by_check(
    store: Store, url_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grace, ada, fay = (store.client(f"{name}.example") for name in ("grace@globex", "ada@acme", "fay@punchcard"))
    purchase_order = f"PO-{uuid.uuid4()}"

    # the buyer asks what it would cost, and gets it in writing
    grace.empty_cart()
    cart = grace.fill_cart("HOURLY-600", "organization", 2)
    asked = grace.order_body(cart, payment={"method": "quote"}, purchase_order={"number": purchase_order})
    quote = post(grace, "/v1/orders", asked, 201)
    path, total = f"/v1/orders/{quote['id']}", quote["totals"]["total"]
    assert (quote["kind"], quote["state"], total["amount_minor"]) == ("quote", "open", 216000)
    assert grace.get("/v1/cart")["lines"] == []
    (letter,) = mails(store, quote, "this is the quote")
    last = date.fromisoformat(quote["quote"]["last_day"])
    assert f"Good until: {last.day} {last:%B %Y}, end of the day (UTC)" in letter["text"]
    assert "2160.00 USD" in letter["text"]
    assert purchase_order in letter["text"]
    assert ada.ask("GET", path).status_code == 404
    balance = grace.balance()

    # it costs more to everybody else by the time that the budget is there
    with price_of("HOURLY-600", "1080.00", "1200.00", url_of("catalog"), tmp_path, monkeypatch):
        wait_until(
            lambda: grace.get("/v1/products/HOURLY-600")["price"]["amount_minor"] == 120000, "the price to change", 60
        )
        assert grace.get(path)["totals"]["total"] == total
        order = post(grace, f"{path}/convert", {"payment": {"method": "check"}}, 201)
    assert (order["kind"], order["state"], order["quote_id"]) == ("order", "awaiting_payment", quote["id"])
    assert (order["totals"]["total"], order["purchase_order"]) == (total, {"number": purchase_order})
    assert grace.get(path)["state"] == "converted"
    again = post(grace, f"{path}/convert", {"payment": {"method": "wire"}}, 409)
    assert (again["code"], again["order_id"]) == ("quote_converted", order["id"])
    (told,) = mails(store, order, "Payment reference: ")
    assert "Send a check" in told["text"]
    assert grace.balance() == balance

    # the invoice says what the quote said, and that it is to be paid
    invoice_path = f"/v1/orders/{order['id']}/invoice"
    wait_until(lambda: grace.ask("GET", invoice_path).status_code == 200, "the invoice")
    invoice = grace.get(invoice_path)
    assert (invoice["state"], invoice["order"]["number"]) == ("open", order["number"])
    assert (invoice["totals"], invoice["purchase_order_number"]) == (quote["totals"], purchase_order)
    assert invoice["payment"]["reference"] == order["instructions"]["reference"]
    assert ada.ask("GET", invoice_path).status_code == 404

    # a clerk has the check in hand, and only the purchase order on it
    (found,) = [
        item for item in fay.get(f"/v1/admin/orders?purchase_order_number={purchase_order}")["items"]
        if item["kind"] == "order"
    ]  # fmt: skip
    recorded = fay.record(total["amount_minor"], f"CK-{order['number']}", method="check", order_id=found["id"])
    assert (recorded.status_code, recorded.json()["payment"]["state"]) == (201, "captured")
    done = grace.fulfilled(order["id"])
    assert done["payment"] == {"method": "check", "state": "captured", "card": None}
    assert grace.balance() == balance + 1200
    mails(store, order, "Received: 2160.00 USD")
    assert grace.get(path)["state"] == "converted"
    wait_until(lambda: grace.get(invoice_path)["state"] == "paid", "the invoice to be paid")
    assert grace.get(invoice_path)["number"] == invoice["number"]
    printed = grace.ask("GET", invoice_path, headers={"Accept": "application/pdf"})
    assert (printed.status_code, printed.content[:5]) == (200, b"%PDF-")
    mails(store, order, f"Invoice: {invoice['number']}")
    (listed,) = grace.get(f"/v1/invoices?order_id={order['id']}")["items"]
    assert (listed["number"], listed["state"]) == (invoice["number"], "paid")
    assert fay.get(f"/v1/admin/invoices?purchase_order_number={purchase_order}")["items"] == [listed]


def test_a_clerks_day(store: Store, url_of: Callable[[str], str]) -> None:
    ada, fay, sam = (store.client(f"{name}.example") for name in ("ada@acme", "fay@punchcard", "sam@punchcard"))
    waiting = ada.order_by("wire")
    total = waiting["totals"]["total"]["amount_minor"]

    # the bank's statement: found by its reference, paid too well, once
    listed = fay.get(f"/v1/admin/orders?reference={waiting['instructions']['reference']}")["items"]
    assert [(item["number"], item["state"]) for item in listed] == [(waiting["number"], "awaiting_payment")]
    bank_reference = f"DAY-{waiting['number']}"
    paid = fay.record(total + 700, bank_reference, reference=waiting["instructions"]["reference"])
    assert (paid.status_code, paid.json()["payment"]["state"]) == (201, "captured")
    assert paid.json()["payment"]["reason"] == "overpaid"
    assert fay.record(total + 700, bank_reference, order_id=waiting["id"]).json()["code"] == "receipt_already_recorded"
    (surplus,) = fay.get(f"/v1/admin/payments/review?order_id={waiting['id']}")["items"]
    assert (surplus["reason"], surplus["amount"]["amount_minor"]) == ("overpaid", 700)
    mails(store, waiting, "Too much by: 7.00 USD")
    ada.fulfilled(waiting["id"])
    listed = fay.get(f"/v1/admin/orders?bank_reference={bank_reference}")["items"]
    assert [item["number"] for item in listed] == [waiting["number"]]

    # a customer calls: the card was bought by mistake, and nobody has claimed it
    ada.empty_cart()
    mistake = ada.fulfilled(ada.buy_card()["id"])
    letter = number_and_code(card_mail(store, mistake))
    refund = {"reason": "Bought by mistake", "claimed": "refuse"}
    given = post(fay, f"/v1/admin/orders/{mistake['id']}/refund", refund, 201)
    assert (given["state"], given["credits"]["taken_back"]) == ("done", 300)
    assert ada.get(f"/v1/orders/{mistake['id']}")["state"] == "refunded"
    dead = dict(zip(("number", "code"), letter, strict=True))
    assert post(ada, "/v1/support-cards/claim", dead, 422)["code"] == "card_not_claimable"
    twice = post(fay, f"/v1/admin/orders/{mistake['id']}/refund", refund, 409)
    assert twice["code"] == "order_refunded"

    # an event that nobody could handle, tried again by support
    letters = "/v1/admin/dead-letters"
    desk = Database(url_of("credits"))
    FailureDesk(desk, lambda _: None).park(Arrived(QUEUE, b"no event", {}, "application/json"), "malformed:clerks_day")
    desk.close()
    (parked,) = fay.get(f"{letters}?service=credits&cause=malformed:clerks_day")["items"]
    replay = {"service": "credits", "id": parked["id"]}
    assert sam.ask("POST", f"{letters}/replay", replay).json() == {"replayed": 1, "remaining": 0}

    # what the books say, and who did what
    if not store.embedded:
        assert store.reconciled(60, pause_s=0.2).breaks == []
    file = fay.ask("GET", f"/v1/admin/orders?number={waiting['number']}", headers={"Accept": "text/csv"})
    (row,) = csv.DictReader(file.text.splitlines())
    assert (row["number"], row["total.amount_minor"], row["payment_method"]) == (waiting["number"], str(total), "wire")
    for order, action in ((waiting, "receipt.recorded"), (mistake, "order.refund_requested")):
        lines = fay.get(f"/v1/admin/audit?subject_id={order['id']}")["items"]
        (line,) = [each for each in lines if each["action"] == action]
        assert line["actor_email"] == CLERK
    steps = [step["what"] for step in fay.get(f"/v1/admin/orders/{mistake['id']}/timeline")["items"]]
    assert steps.index("order.placed") < steps.index("order.fulfilled")
    assert [step for step in steps if "refund" in step]
