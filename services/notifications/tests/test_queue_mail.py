"""Events become queued mails, one for each cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from marshmallow import ValidationError

from chassis.messages import Event
from chassis.persistence import Database
from chassis.persistence.tables import INBOX
from chassis.testing import FixedClock, event_example, make_event
from notifications.bootstrap import App
from notifications.domain.deliveries import ACCOUNT_MAILS, MailKind
from notifications.messages import PAYLOADS, InvoicePaid, recipient_of
from notifications.storage import DELIVERY, note_invoice
from notifications.transports import FolderTransport
from notifications.use_cases import queue_mail
from notifications.use_cases.send_mails import send_mails

CLAIM_CODE = "7K2M-Q9TX-04HB-ZZ5V-W8YN-3"


def queue_receipts_of_invoiced(app: App, events: Sequence[Event]) -> None:
    """Receipts whose invoices are numbered already: they do not wait."""
    queue_mail.note_invoices(app, [invoice_of(event.data["order_id"]) for event in events])
    queue_mail.queue_receipts(app, events)


def invoice_of(order_id: str, **changes: Any) -> Event:
    data = InvoicePaid().load({**event_example("payments.invoice_paid.v1"), "order_id": order_id, **changes})
    return make_event("payments.invoice_paid.v1", data, consumer="on payments.invoice_paid.v1")


HANDLERS = {
    MailKind.RECEIPT: queue_receipts_of_invoiced,
    MailKind.CARD: queue_mail.queue_cards,
    MailKind.CARD_REISSUED: queue_mail.queue_reissued_cards,
    MailKind.CARD_EXPIRING: queue_mail.queue_card_reminders,
    MailKind.BALANCE_LOW: queue_mail.queue_balance_alerts,
    MailKind.CARD_CLAIMED: queue_mail.queue_claim_notices,
    MailKind.PAYMENT_INSTRUCTIONS: queue_mail.queue_instructions,
    MailKind.PAYMENT_REMINDER: queue_mail.queue_reminders,
    MailKind.PAYMENT_RECEIVED: queue_mail.queue_payments_received,
    MailKind.REFUND: queue_mail.queue_refund_notices,
    MailKind.QUOTE: queue_mail.queue_quotes,
    MailKind.QUOTE_EXPIRING: queue_mail.queue_quote_reminders,
    **dict.fromkeys(ACCOUNT_MAILS, queue_mail.queue_account_mails),
    MailKind.TICKET_OPENED: queue_mail.queue_ticket_openings,
    MailKind.TICKET_ANSWERED: queue_mail.queue_ticket_answers,
    MailKind.TICKET_OVERRUN: queue_mail.queue_overruns,
    MailKind.TICKET_CLOSED: queue_mail.queue_ticket_closings,
    MailKind.TICKET_DEFECT: queue_mail.queue_defects,
}


def rows(database: Database, table: sa.Table = DELIVERY) -> list[dict[str, Any]]:
    with database.reading() as reader:
        return [dict(row) for row in reader.all(sa.select(table))]


@pytest.fixture
def app(migrated: Callable[..., Database], make_app: Callable[..., App], tmp_path: Path) -> App:
    return make_app(migrated("notifications"), FolderTransport(tmp_path / "mail"))


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (MailKind.RECEIPT, "receipt:ord_01JDB0000000000000000000A0"),
        (MailKind.CARD, "card:scc_01K0"),
        (MailKind.CARD_REISSUED, "card_reissued:scc_01K0:2"),
        (MailKind.CARD_EXPIRING, "card_expiring:scc_01K0"),
        (MailKind.BALANCE_LOW, "balance_low:ltx_01K3"),
        (MailKind.CARD_CLAIMED, "card_claimed:scc_01K0"),
        (MailKind.PAYMENT_INSTRUCTIONS, "payment_instructions:ord_01KB0000000000000000000000:1"),
        (MailKind.PAYMENT_REMINDER, "payment_reminder:ord_01KB0000000000000000000000:1.1"),
        (MailKind.PAYMENT_RECEIVED, "payment_received:rct_01KB0000000000000000000002"),
        (MailKind.REFUND, "refund:rfd_01JDB0000000000000000000R0"),
        (MailKind.QUOTE, "quote:ord_01JDB0000000000000000000Q0"),
        (MailKind.QUOTE_EXPIRING, "quote_expiring:ord_01JDB0000000000000000000Q0"),
        *((kind, f"{kind}:lnk_01KAQ3V8Z5T6B9X4M2C7N0R1WG") for kind in ACCOUNT_MAILS),
        (MailKind.TICKET_OPENED, "ticket_opened:tkt_01K0:1"),
        (MailKind.TICKET_ANSWERED, "ticket_answered:cmt_01K0"),
        (MailKind.TICKET_OVERRUN, "ticket_overrun:ovr_01K0"),
        (MailKind.TICKET_CLOSED, "ticket_closed:tkt_01K0:1"),
        (MailKind.TICKET_DEFECT, "ticket_defect:tkt_01K0"),
    ],
)
def test_an_event_queues_one_mail_to_its_buyer(
    app: App, event: Callable[..., Event], kind: MailKind, cause: str
) -> None:
    caused = replace(event(kind), correlation_id="cor_http")
    HANDLERS[kind](app, [caused])

    (row,) = rows(app.database)
    assert (row["kind"], row["cause"], row["state"], row["attempts"]) == (kind, cause, "queued", 0)
    assert row["recipient"] == recipient_of(caused.data)["email"]
    assert row["message_id"] == f"<{row['id']}@punchcard.example>"
    assert row["correlation_id"] == "cor_http"
    assert row["order_id"] == caused.data.get("order_id")


@pytest.mark.parametrize("kind", list(MailKind))
def test_redelivered_and_emitted_again_it_is_still_one_mail(
    app: App, event: Callable[..., Event], tmp_path: Path, kind: MailKind
) -> None:
    first, again = event(kind), event(kind)
    assert first.id != again.id
    for delivered in (first, first, again, first):
        HANDLERS[kind](app, [delivered])
        send_mails(app)

    assert len(rows(app.database)) == 1
    of_mails = [row for row in rows(app.database, INBOX) if row["consumer"] != "on payments.invoice_paid.v1"]
    assert len(of_mails) == 2
    assert len(list((tmp_path / "mail").iterdir())) == 1


@pytest.mark.parametrize("invoice_first", [True, False])
def test_a_receipt_names_its_invoice_whichever_is_told_first(
    app: App, event: Callable[..., Event], tmp_path: Path, invoice_first: bool
) -> None:
    receipt, invoice = event(MailKind.RECEIPT, order_id="ord_7"), invoice_of("ord_7")
    steps = [lambda: queue_mail.note_invoices(app, [invoice]), lambda: queue_mail.queue_receipts(app, [receipt])]
    for number, step in enumerate(steps if invoice_first else reversed(steps)):
        assert send_mails(app) == 0, number
        step()
        step()
    queue_mail.queue_receipts(app, [event(MailKind.RECEIPT, order_id="ord_8")])  # has none yet, and waits
    assert send_mails(app) == 1
    [mail] = (tmp_path / "mail").iterdir()
    assert b"Invoice: INV-000001" in mail.read_bytes()
    assert b"/v1/orders/ord_7/invoice" in mail.read_bytes()


def test_a_number_that_came_while_the_receipt_was_being_queued_is_seen(
    app: App, event: Callable[..., Event], tmp_path: Path
) -> None:
    """Two transactions at once: neither has seen the other, so only the sender sees both."""
    queue_mail.queue_receipts(app, [event(MailKind.RECEIPT, order_id="ord_7")])
    with app.database.transaction() as transaction:
        note_invoice(transaction, "ord_7", "INV-000001")
    assert send_mails(app) == 1
    [mail] = (tmp_path / "mail").iterdir()
    assert b"Invoice: INV-000001" in mail.read_bytes()


def test_each_receipt_names_the_invoice_of_its_own_order(app: App, event: Callable[..., Event], tmp_path: Path) -> None:
    for number in (1, 2, 3):
        queue_mail.note_invoices(app, [invoice_of(f"ord_{number}", invoice_number=f"INV-{number}")])
        queue_mail.queue_receipts(app, [event(MailKind.RECEIPT, order_id=f"ord_{number}", number=f"PC-{number}")])
    assert send_mails(app) == 3
    texts = [mail.read_text() for mail in (tmp_path / "mail").iterdir()]
    for number in (1, 2, 3):
        [text] = [text for text in texts if f"Order number: PC-{number}\n" in text]
        assert f"Invoice: INV-{number}\n" in text


def test_a_receipt_whose_invoice_does_not_come_leaves_without(
    migrated: Callable[..., Database], make_app: Callable[..., App], event: Callable[..., Event], tmp_path: Path,
    clock: FixedClock,
) -> None:  # fmt: skip
    app = make_app(migrated("notifications", clock), FolderTransport(tmp_path / "mail"))
    queue_mail.queue_receipts(app, [event(MailKind.RECEIPT, order_id="ord_7")])
    assert send_mails(app) == 0
    clock.advance(seconds=15)
    assert send_mails(app) == 1
    queue_mail.note_invoices(app, [invoice_of("ord_7")])
    assert send_mails(app) == 0
    [mail] = (tmp_path / "mail").iterdir()
    assert b"Invoice" not in mail.read_bytes()


def test_two_cards_are_two_mails(app: App, event: Callable[..., Event], tmp_path: Path) -> None:
    queue_mail.queue_cards(app, [event(MailKind.CARD, card_id="scc_1")])
    queue_mail.queue_cards(app, [event(MailKind.CARD, card_id="scc_2")])

    assert send_mails(app) == 2
    assert len(list((tmp_path / "mail").iterdir())) == 2


def test_the_sender_is_woken_after_the_commit_and_only_then(
    migrated: Callable[..., Database], make_app: Callable[..., App], event: Callable[..., Event], tmp_path: Path
) -> None:
    database = migrated("notifications")
    seen: list[int] = []
    app = make_app(database, FolderTransport(tmp_path), lambda: seen.append(len(rows(database))))
    card = event(MailKind.CARD)

    queue_mail.queue_cards(app, [card])
    queue_mail.queue_cards(app, [card])  # handled before: there is nothing to send

    assert seen == [1]


def test_no_claim_code_is_stored_before_or_after_sending(app: App, event: Callable[..., Event], tmp_path: Path) -> None:
    queue_mail.queue_cards(app, [event(MailKind.CARD)])
    assert_not_stored(app.database, CLAIM_CODE)
    assert send_mails(app) == 1
    assert_not_stored(app.database, CLAIM_CODE)
    (mail,) = (tmp_path / "mail").iterdir()
    assert f"Claim code: {CLAIM_CODE}" in mail.read_text()


def assert_not_stored(database: Database, secret: str) -> None:
    with database.reading() as reader:
        tables = sa.inspect(reader.connection).get_table_names()
        assert "deliveries" in tables
        for name in tables:
            stored = reader.all(sa.select(sa.text("*")).select_from(sa.table(name)))
            assert secret not in repr([dict(row) for row in stored]), name
    if database.url.database and database.url.get_backend_name() == "sqlite":
        for file in Path(database.url.database).parent.glob("notifications-*"):
            assert secret.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("kind", list(MailKind))
def test_a_field_that_a_producer_adds_is_passed_over(
    app: App, examples: dict[MailKind, dict[str, Any]], kind: MailKind
) -> None:
    loaded = PAYLOADS[kind].load({**examples[kind], "added_later": {"x": 1}})
    assert "added_later" not in loaded


def test_an_address_with_a_line_break_is_no_address(examples: dict[MailKind, dict[str, Any]]) -> None:
    buyer = {"email": "ada@acme.example\r\nBcc: eve@evil.example", "name": "Ada", "language": "en"}
    with pytest.raises(ValidationError):
        PAYLOADS[MailKind.CARD].load({**examples[MailKind.CARD], "buyer": buyer})
