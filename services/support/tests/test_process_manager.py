"""Whatever dies or does not answer between a ticket and its credits: one hold, one ticket, one debit."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import Kind, Refusal
from support import storage

FAULTS = ["down", "dies_before", "dies_after", "lost"]


def interrupted(desk: Any, fault: str, who: Any, method: str, **data: Any) -> Any:
    """What a call answers while the fault lasts; None if its process died."""
    desk.bus.fault = fault
    try:
        return desk.ask(who, method, **data)
    except desk.Crash:
        return None
    finally:
        desk.bus.fault = None


@pytest.mark.parametrize("fault", FAULTS)
def test_an_opening_that_was_interrupted_ends_with_one_hold_and_one_open_ticket(desk: Any, fault: str) -> None:
    answer = interrupted(desk, fault, desk.customer, "open_ticket", idempotency_key="key", **desk.opening())
    if answer is not None:
        assert (answer["status"], answer["ticket"]["state"]) == (202, "opening")
    assert desk.events("ticket_opened") == []

    desk.resume()

    (row,) = desk.rows(storage.TICKET)
    assert row["state"] == "open"
    assert (desk.bus.balance, len(desk.bus.holds), len(desk.events("ticket_opened"))) == (440, 1, 1)
    again = desk.ask(desk.customer, "open_ticket", idempotency_key="key", **desk.opening())
    assert (again["ticket"]["id"], again["status"], again["replayed"]) == (row["id"], 201, True)
    desk.resume()
    assert len(desk.events("ticket_opened")) == 1


def test_a_retry_does_not_wait_for_the_timer_but_for_the_lease(desk: Any) -> None:
    interrupted(desk, "dies_after", desk.customer, "open_ticket", idempotency_key="key", **desk.opening())
    refusal = desk.refused(desk.customer, "open_ticket", idempotency_key="key", **desk.opening())
    assert refusal.code == "idempotency_key_in_flight"
    desk.clock.advance(seconds=11)
    again = desk.ask(desk.customer, "open_ticket", idempotency_key="key", **desk.opening())
    assert (again["ticket"]["state"], again["replayed"], len(desk.bus.holds)) == ("open", True, 1)


def test_credits_that_went_elsewhere_meanwhile_refuse_the_ticket_for_good(desk: Any) -> None:
    desk.bus.fault = "down"
    held = desk.open(idempotency_key="key")
    desk.bus.fault, desk.bus.balance = None, 59
    desk.resume()

    refusal = desk.refused(desk.customer, "open_ticket", idempotency_key="key", **desk.opening())
    assert (refusal.code, refusal.extra) == ("insufficient_credits", {"balance": 59, "replayed": True})
    assert desk.ask(desk.customer, "list_tickets")["items"] == []
    assert desk.look(held["ticket"]["id"])["state"] == "refused", "whoever polls it must learn it"
    assert desk.events("ticket_opened") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_yes_that_was_interrupted_raises_once(desk: Any, fault: str) -> None:
    ticket = desk.ticket()
    desk.work(ticket, 90)
    interrupted(desk, fault, desk.customer, "answer_overrun", id=ticket, approve=True)
    assert desk.refused(desk.staff, "add_time", id=ticket, minutes=1, note="x").code == "ticket_busy"
    assert desk.refused(desk.staff, "close_ticket", id=ticket).code == "ticket_busy"
    assert desk.refused(desk.customer, "answer_overrun", id=ticket, approve=False).code == "ticket_busy"

    desk.resume()

    found = desk.look(ticket)
    assert (found["state"], found["credits"]["cap"], found["overrun"], desk.bus.balance) == ("open", 90, None, 410)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_closing_that_was_interrupted_debits_once(desk: Any, fault: str) -> None:
    ticket = desk.ticket()
    desk.work(ticket, 45)
    interrupted(desk, fault, desk.staff, "close_ticket", id=ticket)
    assert desk.look(ticket)["state"] == "closing"

    desk.resume()

    found = desk.look(ticket)
    assert (found["state"], found["credits"]["debited"], desk.bus.balance) == ("closed", 45, 455)
    assert len(desk.events("ticket_closed")) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_defect_that_was_interrupted_gives_back_once(desk: Any, fault: str) -> None:
    ticket = desk.ticket()
    desk.work(ticket, 45)
    desk.ask(desk.staff, "close_ticket", id=ticket)
    interrupted(desk, fault, desk.staff, "give_back_defect", id=ticket, reason="Ours")

    desk.resume()

    assert (desk.look(ticket)["credits"]["given_back"], desk.bus.balance) == (45, 500)
    assert len(desk.events("defect_credited")) == 1


def test_a_reopening_without_credits_leaves_the_ticket_closed_as_it_was(desk: Any) -> None:
    ticket = desk.ticket()
    desk.work(ticket, 45)
    desk.ask(desk.staff, "close_ticket", id=ticket)
    before = desk.look(ticket)
    interrupted(desk, "down", desk.customer, "reopen_ticket", id=ticket, cap_credits=30)
    assert desk.look(ticket)["state"] == "opening"
    desk.bus.balance = 0
    desk.resume()

    assert {**desk.look(ticket), "updated_at": before["updated_at"]} == before
    desk.bus.balance = 30
    assert desk.ask(desk.customer, "reopen_ticket", id=ticket, cap_credits=30)["ticket"]["state"] == "open"


def test_what_credits_cannot_refuse_is_tried_on(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = desk.ticket()
    with monkeypatch.context() as patched:
        patched.setattr(desk.bus, "_settle_hold", lambda **_: raise_(Refusal(Kind.NOT_FOUND, "not_found", "None.")))
        assert desk.ask(desk.staff, "close_ticket", id=ticket)["status"] == 202
        desk.resume()
        assert desk.look(ticket)["state"] == "closing"
    desk.resume()
    assert desk.look(ticket)["state"] == "closed"


def raise_(refusal: Refusal) -> Any:
    raise refusal


def test_one_that_does_not_answer_ends_a_run(desk: Any) -> None:
    desk.bus.fault = "down"
    desk.open()
    desk.open()
    desk.bus.calls.clear()
    desk.resume()
    assert desk.bus.calls == ["credits.hold"]
