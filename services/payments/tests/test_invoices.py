"""Invoices and credit notes: one an order, numbered without gaps, whatever comes first or twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from chassis.messages import Event, dump_checked
from chassis.persistence import Database
from chassis.testing import emitted, event_example, identity, make_event
from kernel.errors import Kind as RefusalKind
from kernel.errors import Refusal, unavailable
from payments import messages, storage
from payments.bootstrap import App
from payments.domain.invoices import Issuer, Kind, credited_tax_minor
from payments.domain.states import State
from payments.invoice_storage import DOCUMENT, SERIES
from payments.use_cases.end_invoices import NotInvoicedYetError, credit_invoice, void_invoices
from payments.use_cases.get_invoice import get_invoice
from payments.use_cases.issue_invoices import (
    InvoiceContradictionError,
    issue_open_invoices,
    issue_paid_invoices,
)
from payments.use_cases.issue_missing_invoices import issue_missing_invoices
from payments.use_cases.list_invoices import list_invoices, search_invoices

SCHEMAS = {
    "cart.order_billed.v1": messages.OrderBilled(), "cart.order_paid.v1": messages.OrderPaid(),
    "cart.order_cancelled.v1": messages.OrderCancelled(), "cart.order_refunded.v1": messages.OrderRefunded(),
}  # fmt: skip
BUYER = identity()


def event(name: str, order_id: str = "ord_1", **changes: Any) -> Event:
    """An event of cart's, as the chassis hands it over."""
    name = f"cart.{name}.v1"
    data = {**event_example(name), "order_id": order_id, **changes}
    return make_event(name, SCHEMAS[name].load(data), consumer=f"payments.on.{name}")


def usd(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "USD"}


@pytest.fixture
def app(migrated: Callable[..., Database], fake_provider: Any) -> App:
    return App(migrated("payments"), fake_provider, timedelta(seconds=10))


@pytest.fixture
def app_on_postgres(migrated_postgres: Callable[..., Database], fake_provider: Any) -> App:
    return App(migrated_postgres("payments"), fake_provider, timedelta(seconds=10))


def await_money(app: App, order_id: str = "ord_1", state: State = State.REQUIRES_ACTION) -> None:
    with app.database.transaction() as tx:
        storage.add_intent(
            tx,
            {"id": f"pay_{order_id}", "order_id": order_id, "order_number": "PC-1", "organization_id": "org_acme",
             "user_id": "usr_ada", "method": "wire", "amount_minor": 24000, "currency": "USD"},
            state,
        )  # fmt: skip


def documents(app: App, kind: Kind = Kind.INVOICE) -> list[dict[str, Any]]:
    with app.database.reading() as reader:
        query = sa.select(DOCUMENT).where(DOCUMENT.c.kind == kind).order_by(DOCUMENT.c.serial)
        return [dict(row) for row in reader.all(query)]


def numbers(app: App, kind: Kind = Kind.INVOICE) -> list[tuple[str, str]]:
    return [(row["number"], row["state"]) for row in documents(app, kind)]


def shown(app: App, order_id: str = "ord_1", caller: Any = BUYER) -> dict[str, Any]:
    return get_invoice(app, caller, order_id=order_id)


def test_an_order_by_card_is_invoiced_as_paid(app: App) -> None:
    paid = event("order_paid", tax={"name": "VAT", "rate_percent": "20", "certificate": None})
    issue_paid_invoices(app, [paid])
    issue_paid_invoices(app, [paid])
    invoice = shown(app)
    assert dump_checked(messages.InvoiceReply(), invoice) == invoice
    assert (invoice["number"], invoice["state"], invoice["paid_at"]) == (
        "INV-000001", "paid", "2026-11-22T12:00:00.000Z",
    )  # fmt: skip
    assert invoice["order"] == {"id": "ord_1", "number": "PC-2026-000123"}
    assert (invoice["purchase_order_number"], invoice["tax"]["name"]) == ("PO-77", "VAT")
    assert invoice["issuer"] == {"name": "Punchcard", "address": "", "tax_number": ""}
    assert invoice["payment"]["card"] == {"brand": "visa", "last4": "4242"}
    assert numbers(app) == [("INV-000001", "paid")]


def test_an_order_by_wire_is_invoiced_open_then_paid(app: App) -> None:
    await_money(app)
    issue_open_invoices(app, [event("order_billed")])
    invoice = shown(app)
    assert (invoice["state"], invoice["paid_at"]) == ("open", None)
    assert invoice["payment"] == {
        "method": "wire", "card": None, "reference": "RF84PC2026000123", "due_on": "2026-12-06",
    }  # fmt: skip
    assert invoice["tax"]["certificate"] == "ST-119-4711"
    issue_paid_invoices(app, [event("order_paid")])
    assert shown(app) == {**invoice, "state": "paid", "paid_at": "2026-11-22T12:00:00.000Z"}


def test_that_an_order_is_invoiced_and_paid_is_told_once(app: App) -> None:
    await_money(app)
    issue_open_invoices(app, [event("order_billed")])
    assert emitted(app.database) == []
    issue_paid_invoices(app, [event("order_paid"), event("order_paid", "ord_2")])
    told = [("payments.invoice_paid.v1", {"order_id": f"ord_{n}", "invoice_number": f"INV-00000{n}"}) for n in (1, 2)]
    assert sorted(emitted(app.database), key=str) == told


def test_the_events_may_come_in_either_order(app: App) -> None:
    await_money(app)
    issue_paid_invoices(app, [event("order_paid")])
    issue_open_invoices(app, [event("order_billed")])
    assert numbers(app) == [("INV-000001", "paid")]


def test_a_cancelled_order_has_a_void_invoice_and_its_number_stays_taken(app: App) -> None:
    await_money(app)
    issue_open_invoices(app, [event("order_billed")])
    cancelled = event("order_cancelled")
    void_invoices(app, [cancelled, event("order_cancelled", "ord_unknown")])
    void_invoices(app, [cancelled])
    issue_paid_invoices(app, [event("order_paid", "ord_2")])
    assert numbers(app) == [("INV-000001", "void"), ("INV-000002", "paid")]
    assert shown(app)["voided_at"] == "2026-11-22T12:00:00.000Z"
    with pytest.raises(InvoiceContradictionError):
        issue_paid_invoices(app, [event("order_paid")])


@pytest.mark.parametrize("state", [State.VOIDED, State.FAILED])
def test_no_invoice_for_an_order_that_was_cancelled_before(app: App, state: State) -> None:
    await_money(app, state=state)
    void_invoices(app, [event("order_cancelled")])
    issue_open_invoices(app, [event("order_billed")])
    assert numbers(app) == []


def test_a_paid_invoice_is_never_void(app: App) -> None:
    issue_paid_invoices(app, [event("order_paid")])
    void_invoices(app, [event("order_cancelled")])
    assert numbers(app) == [("INV-000001", "paid")]


def test_refunds_are_credited_each_once(app: App) -> None:
    totals = {"subtotal": usd(20000), "tax": usd(4000), "total": usd(24000)}
    issue_paid_invoices(app, [event("order_paid", totals=totals)])
    first = event("order_refunded", refund_id="rfd_1", amount=usd(101))
    for refund in (first, first, event("order_refunded", refund_id="rfd_1", amount=usd(101))):
        credit_invoice(app, refund)
    credit_invoice(app, event("order_refunded", refund_id="rfd_2", amount=usd(23899)))
    invoice = shown(app)
    assert dump_checked(messages.InvoiceReply(), invoice) == invoice
    notes = invoice["credit_notes"]
    assert [(note["number"], note["invoice_number"]) for note in notes] == [
        ("CN-000001", "INV-000001"), ("CN-000002", "INV-000001"),
    ]  # fmt: skip
    assert notes[0]["totals"] == {"subtotal": usd(84), "tax": usd(17), "total": usd(101)}
    assert sum(note["totals"]["tax"]["amount_minor"] for note in notes) == 4000
    assert invoice["state"] == "paid"


def test_a_refund_that_comes_before_the_invoice_is_tried_again(app: App) -> None:
    refund = event("order_refunded")
    with pytest.raises(NotInvoicedYetError):
        credit_invoice(app, refund)
    issue_paid_invoices(app, [event("order_paid")])
    credit_invoice(app, refund)
    assert numbers(app, Kind.CREDIT_NOTE) == [("CN-000001", "issued")]


def test_who_may_see_it(app: App) -> None:
    issue_paid_invoices(app, [event("order_paid")])
    assert shown(app, caller=identity(role="viewer")) == shown(
        app, caller=identity("finance", organization_id="org_us")
    )
    for caller, order_id in ((identity(organization_id="org_other"), "ord_1"), (BUYER, "ord_2")):
        with pytest.raises(Refusal) as caught:
            shown(app, order_id, caller)
        assert (caught.value.kind, caught.value.detail) == (RefusalKind.NOT_FOUND, "There is no such invoice.")
    with pytest.raises(Refusal) as caught:
        shown(app, caller=identity("ticket"))
    assert caught.value.code == "forbidden"


def test_documents_are_found_by_what_is_known_of_them(app: App) -> None:
    finance = identity("finance", organization_id="org_us")
    other = {"id": "org_other", "name": "Other"}
    issue_paid_invoices(app, [event("order_paid")])
    issue_paid_invoices(app, [event("order_paid", "ord_2", organization=other, purchase_order_number=None)])
    issued_at = shown(app)["issued_at"]
    app.issuer = Issuer("another")
    await_money(app, "ord_3")
    issue_open_invoices(app, [event("order_billed", "ord_3", purchase_order_number="PO-99")])
    app.issuer = Issuer()
    credit_invoice(app, event("order_refunded", amount=usd(100)))

    def found(caller: Any = finance, list_of: Any = search_invoices, **wanted: Any) -> list[str]:
        reply = list_of(app, caller, limit=20, **wanted)
        assert dump_checked(messages.InvoiceList(), reply) == reply
        return [f"{item['issuer']} {item['number']}" for item in reply["items"]]

    note, third, second, first = "store CN-000001", "another INV-000001", "store INV-000002", "store INV-000001"
    assert found() == [note, third, second, first]
    for wanted, documents in (
        ({"kind": "credit_note"}, [note]),
        ({"state": "open"}, [third]),
        ({"issuer": "store", "kind": "invoice"}, [second, first]),
        ({"number": "INV-000001"}, [third, first]),
        ({"organization_id": "org_other"}, [second]),
        ({"order_id": "ord_1"}, [note, first]),
        ({"purchase_order_number": "PO-99"}, [third]),
        ({"purchase_order_number": "PO-77"}, [note, first]),
        ({"since": datetime.fromisoformat(issued_at)}, [note, third, second, first]),
        ({"until": datetime.fromisoformat(issued_at)}, []),
    ):
        assert found(**wanted) == documents, wanted
    assert found(BUYER, list_invoices) == [note, third, first]
    assert found(identity("viewer", organization_id="org_other"), list_invoices, number="INV-000001") == []
    page = search_invoices(app, finance, limit=3)
    assert [item["number"] for item in search_invoices(app, finance, limit=3, cursor=page["next"])["items"]] == [
        "INV-000001"
    ]
    assert page["items"][0]["invoice_number"] == "INV-000001"
    for caller, list_of in ((BUYER, search_invoices), (identity("ticket"), list_invoices), (finance, list_invoices)):
        with pytest.raises(Refusal) as caught:
            found(caller, list_of)
        assert caught.value.code == "forbidden"


class CartThatRemembers:
    """Cart, which knows the orders whose events are lost."""

    def __init__(self, **orders: dict[str, Any]) -> None:
        self.orders, self.asked = orders, 0
        self.is_away = False

    def paid_orders(self, order_ids: Sequence[str]) -> list[dict[str, Any]]:
        self.asked += 1
        if self.is_away:
            raise unavailable()
        return [self.orders[order_id] for order_id in order_ids if order_id in self.orders]


def captured_before(app: App, count: int, *, refunded: bool = False) -> list[dict[str, Any]]:
    """Orders that were paid by card when there were no invoices."""
    orders = [{**event_example("cart.order_paid.v1"), "order_id": f"ord_{number}"} for number in range(count)]
    for order in orders:
        await_money(app, order["order_id"], State.CAPTURED)
    with app.database.transaction() as tx:
        tx.execute(sa.update(storage.INTENT).values(updated_at=tx.now - timedelta(minutes=6)))
        for number, order in enumerate(orders if refunded else []):
            refund = {
                "id": f"rfd_{number}", "intent_id": f"pay_{order['order_id']}", "provider_charge_id": f"ch_{number}",
                "amount_minor": 100, "reason": "Twice", "state": "succeeded", "checks": 0, "created_at": tx.now,
                "updated_at": tx.now, "provider_refund_id": f"re_{number}", "refunded_at": tx.now,
            }  # fmt: skip
            tx.execute(sa.insert(storage.REFUND).values(refund))
    return orders


def remembering(app: App, orders: Sequence[dict[str, Any]]) -> CartThatRemembers:
    loaded = messages.PaidOrders().load({"items": list(orders)})["items"]
    cart = CartThatRemembers(**{order["order_id"]: order for order in loaded})
    app.paid_orders = cart.paid_orders
    return cart


def test_what_was_paid_before_there_were_invoices_is_invoiced_late_with_the_day_of_its_supply(app: App) -> None:
    orders = captured_before(app, 45)
    cart = remembering(app, orders)
    cart.is_away = True
    issue_missing_invoices(app)
    assert (numbers(app), cart.asked) == ([], 1)
    cart.is_away = False
    assert issue_missing_invoices(app) == 45
    assert issue_missing_invoices(app) == 0
    assert [row["serial"] for row in documents(app)] == list(range(1, 46))
    invoice = shown(app, "ord_7")
    assert dump_checked(messages.InvoiceReply(), invoice) == invoice
    assert (invoice["state"], invoice["paid_at"], invoice["supplied_on"]) == (
        "paid", "2026-11-22T12:00:00.000Z", "2026-11-22",
    )  # fmt: skip
    assert invoice["issued_at"] > "2026-11-28"
    issue_paid_invoices(app, [event("order_paid", "ord_7")])  # found again at last
    assert len(documents(app)) == 45


def test_what_was_given_back_of_it_is_credited_once(app: App) -> None:
    remembering(app, captured_before(app, 2, refunded=True))
    late = event("order_refunded", "ord_1", refund_id="rfd_1", amount=usd(100))
    with pytest.raises(NotInvoicedYetError):
        credit_invoice(app, late)
    issue_missing_invoices(app)
    credit_invoice(app, late)
    credit_invoice(app, event("order_refunded", "ord_1", refund_id="rfd_9", amount=usd(50)))
    assert [note["totals"]["total"] for note in shown(app, "ord_1")["credit_notes"]] == [usd(100), usd(50)]
    assert [number for number, _ in numbers(app, Kind.CREDIT_NOTE)] == ["CN-000001", "CN-000002", "CN-000003"]


def test_an_event_on_its_way_is_waited_for_and_an_unpaid_order_never_invoiced(app: App) -> None:
    orders = captured_before(app, 2)
    await_money(app, "ord_failed", State.FAILED)
    await_money(app, "ord_new", State.CAPTURED)  # now
    cart = remembering(app, orders[1:])  # of the other one cart says that it is not paid
    assert issue_missing_invoices(app) == 2
    assert cart.asked == 1
    assert [row["order_id"] for row in documents(app)] == ["ord_1"]


def test_events_and_late_issuing_at_once_issue_once(app_on_postgres: App) -> None:
    app = app_on_postgres
    orders = captured_before(app, 30)
    remembering(app, orders)
    batches = [[event("order_paid", order["order_id"]) for order in orders[start::3]] for start in range(3)]
    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(issue_missing_invoices, app) for _ in range(3)]
        work += [pool.submit(issue_paid_invoices, app, batch) for batch in batches]
        for each in work:
            each.result()
    assert [row["serial"] for row in documents(app)] == list(range(1, 31))


def test_each_issuer_counts_for_itself(app: App) -> None:
    issue_paid_invoices(app, [event("order_paid")])
    app.issuer = Issuer("another", "Another Ltd", "2 High Street", "GB 2")
    issue_paid_invoices(app, [event("order_paid", "ord_2")])
    assert [(row["issuer"], row["number"]) for row in documents(app)] == [
        ("store", "INV-000001"), ("another", "INV-000001"),
    ]  # fmt: skip
    assert shown(app, "ord_2")["issuer"]["name"] == "Another Ltd"


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(DOCUMENT).values(total_minor=1),
        sa.update(DOCUMENT).values(serial=7),
        sa.update(DOCUMENT).values(content={}),
        sa.update(DOCUMENT).values(state="open"),
        sa.delete(DOCUMENT),
    ],
)
def test_the_database_keeps_a_document_as_it_is(app: App, statement: Any) -> None:
    issue_paid_invoices(app, [event("order_paid")])
    with pytest.raises(sa.exc.DatabaseError), app.database.transaction() as tx:
        tx.execute(statement)


def test_numbers_have_no_gaps_though_many_are_issued_at_once_and_some_fail(app_on_postgres: App) -> None:
    app = app_on_postgres
    await_money(app, "ord_void")
    issue_open_invoices(app, [event("order_billed", "ord_void")])
    void_invoices(app, [event("order_cancelled", "ord_void")])
    batches = [[event("order_paid", f"ord_{number}_{each}") for each in range(3)] for number in range(12)]
    for batch in batches[::3]:
        batch.append(event("order_paid", "ord_void"))  # fails, after numbers were taken

    def issue(batch: list[Event]) -> bool:
        try:
            issue_paid_invoices(app, batch)
        except InvoiceContradictionError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(issue, [batch for batch in batches for _ in range(2)]))  # each comes twice
    assert done.count(False) == 8
    assert [row["serial"] for row in documents(app)] == list(range(1, 26))
    with app.database.reading() as reader:
        assert reader.scalar(sa.select(SERIES.c.last_serial)) == 25


@given(st.integers(1, 10**9), st.data())
def test_credit_notes_of_a_whole_invoice_have_exactly_its_tax(total_minor: int, data: Any) -> None:
    tax_minor = data.draw(st.integers(0, total_minor))
    cuts = sorted({0, total_minor, *data.draw(st.lists(st.integers(0, total_minor), max_size=8))})
    parts = [
        credited_tax_minor(tax_minor, total_minor, before, after - before) for before, after in itertools.pairwise(cuts)
    ]
    assert sum(parts) == tax_minor
    assert all(0 <= part <= after - before for part, before, after in zip(parts, cuts, cuts[1:], strict=False))
