"""Queue a mail: note that an event causes one. It is sent later, so that nobody waits for a mail server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from chassis.compiled import compiled
from chassis.messages import Event
from kernel.ids import new_id
from notifications import storage
from notifications.bootstrap import App
from notifications.domain.deliveries import LONGEST_WAIT_FOR_INVOICE, MailKind, State, cause_of, message_id_of
from notifications.messages import PAYLOADS, recipient_of


def queue_receipts(app: App, events: Sequence[Event]) -> None:
    """Orders were paid: their buyers get a receipt each, as soon as it can name the invoice, or else without it."""
    with app.database.transaction() as tx:
        for event in tx.accept_each(events):
            delivery = _delivery(app, event, MailKind.RECEIPT, event.data["order_id"], tx.now)
            storage.add_delivery(tx, {**delivery, "next_attempt_at": tx.now + LONGEST_WAIT_FOR_INVOICE})
        # the number may come at this very moment: neither transaction sees the other, but the sender sees both
        tx.after_commit(app.wake_sender)


def note_invoices(app: App, events: Sequence[Event]) -> None:
    """Invoices of paid orders are numbered: receipts that have waited for it leave."""
    with app.database.transaction() as tx:
        numbers = {event.data["order_id"]: event.data["invoice_number"] for event in tx.accept_each(events)}
        if not numbers:
            return
        for order_id, number in sorted(numbers.items()):
            storage.note_invoice(tx, order_id, number)
        tx.after_commit(app.wake_sender)


def queue_cards(app: App, events: Sequence[Event]) -> None:
    """Cards were issued: their buyers get the number and the claim code."""
    _queue(app, events, MailKind.CARD, itemgetter("card_id"))


def queue_reissued_cards(app: App, events: Sequence[Event]) -> None:
    """Cards have new claim codes: their buyers get them, one mail for each code."""
    _queue(app, events, MailKind.CARD_REISSUED, lambda data: f"{data['card_id']}:{data['issue']}")


def queue_card_reminders(app: App, events: Sequence[Event]) -> None:
    """Cards will expire: their buyers are reminded, once."""
    _queue(app, events, MailKind.CARD_EXPIRING, itemgetter("card_id"))


def queue_balance_alerts(app: App, events: Sequence[Event]) -> None:
    """Balances have fallen below what their organisations have named: whoever named it is told."""
    _queue(app, events, MailKind.BALANCE_LOW, itemgetter("entry_id"))


def queue_claim_notices(app: App, events: Sequence[Event]) -> None:
    """Cards were claimed: the buyers who had them issued are told."""
    _queue(app, events, MailKind.CARD_CLAIMED, itemgetter("card_id"))


def queue_instructions(app: App, events: Sequence[Event]) -> None:
    """Orders wait for a wire or check: their buyers are told how to pay, again with each change of the method."""
    _queue(
        app, events, MailKind.PAYMENT_INSTRUCTIONS, lambda data: f"{data['order_id']}:{data['instructions']['issue']}"
    )


def queue_reminders(app: App, events: Sequence[Event]) -> None:
    """The money has not come yet: the buyers are reminded."""
    _queue(
        app, events, MailKind.PAYMENT_REMINDER,
        lambda data: f"{data['order_id']}:{data['instructions']['issue']}.{data['reminder']}",
    )  # fmt: skip


def queue_payments_received(app: App, events: Sequence[Event]) -> None:
    """Money has come by wire or check: the buyers are told what is left to pay, or that nothing is."""
    _queue(app, events, MailKind.PAYMENT_RECEIVED, lambda data: str(data["receipt"]["id"]))


def queue_refund_notices(app: App, events: Sequence[Event]) -> None:
    """Orders were refunded: their buyers are told."""
    _queue(app, events, MailKind.REFUND, itemgetter("refund_id"))


def queue_quotes(app: App, events: Sequence[Event]) -> None:
    """Quotes were made: their buyers get one each."""
    _queue(app, events, MailKind.QUOTE, itemgetter("order_id"))


def queue_quote_reminders(app: App, events: Sequence[Event]) -> None:
    """Open quotes are about to expire: their buyers are told."""
    _queue(app, events, MailKind.QUOTE_EXPIRING, itemgetter("order_id"))


def queue_account_mails(app: App, events: Sequence[Event]) -> None:
    """Accounts has links, or news of their accounts, for people."""
    _queue_each(app, events, lambda data: MailKind(data["purpose"]), itemgetter("notice_id"))


def queue_ticket_openings(app: App, events: Sequence[Event]) -> None:
    """Tickets were opened: whoever did so is told what is held, again each time that one is opened anew."""
    _queue(app, events, MailKind.TICKET_OPENED, lambda data: f"{data['ticket_id']}:{data['round']}")


def queue_ticket_answers(app: App, events: Sequence[Event]) -> None:
    """Support has written something about tickets."""
    _queue(app, events, MailKind.TICKET_ANSWERED, itemgetter("comment_id"))


def queue_overruns(app: App, events: Sequence[Event]) -> None:
    """Tickets need more credits than are held: whoever opened them is asked."""
    _queue(app, events, MailKind.TICKET_OVERRUN, itemgetter("overrun_id"))


def queue_ticket_closings(app: App, events: Sequence[Event]) -> None:
    """Tickets were closed: what was debited, and what came back."""
    _queue(app, events, MailKind.TICKET_CLOSED, lambda data: f"{data['ticket_id']}:{data['round']}")


def queue_defects(app: App, events: Sequence[Event]) -> None:
    """Tickets were found to be about a mistake of ours: what came back."""
    _queue(app, events, MailKind.TICKET_DEFECT, itemgetter("ticket_id"))


def _queue(app: App, events: Sequence[Event], kind: MailKind, subject: Callable[[Mapping[str, Any]], str]) -> None:
    _queue_each(app, events, lambda _data: kind, subject)


def _queue_each(
    app: App,
    events: Sequence[Event],
    kind_of: Callable[[Mapping[str, Any]], MailKind],
    subject: Callable[[Mapping[str, Any]], str],
) -> None:
    with app.database.transaction() as tx:
        fresh = list(tx.accept_each(events))
        for event in fresh:
            storage.add_delivery(tx, _delivery(app, event, kind_of(event.data), subject(event.data), tx.now))
        if fresh:
            tx.after_commit(app.wake_sender)


def _delivery(app: App, event: Event, kind: MailKind, subject_id: str, now: datetime) -> dict[str, Any]:
    recipient = recipient_of(event.data)
    delivery_id = new_id("dlv")
    return {
        "id": delivery_id,
        "kind": kind,
        "cause": cause_of(kind, subject_id),
        "order_id": event.data.get("order_id"),
        "recipient": recipient["email"],
        "language": recipient["language"],
        "message_id": message_id_of(delivery_id, app.message_id_domain),
        "payload": json.dumps(compiled(PAYLOADS[kind]).dump(event.data), separators=(",", ":")),
        "correlation_id": event.correlation_id,
        "state": State.QUEUED,
        "attempts": 0,
        "next_attempt_at": now,
        "queued_at": now,
    }
