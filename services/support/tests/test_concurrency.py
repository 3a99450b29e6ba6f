"""Two at once, on a real PostgreSQL with threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kernel.errors import Refusal
from support import storage


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call gives, or its refusal."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Refusal as refusal:
            return refusal

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_one_key_opens_one_ticket(desk_on_postgres: Any) -> None:
    desk = desk_on_postgres
    answers = at_once(*[lambda: desk.open(idempotency_key="key")] * 8)

    opened = [answer for answer in answers if not isinstance(answer, Refusal)]
    assert len({answer["ticket"]["id"] for answer in opened}) == 1
    assert {answer.code for answer in answers if isinstance(answer, Refusal)} <= {"idempotency_key_in_flight"}
    assert (len(desk.rows(storage.TICKET)), len(desk.bus.holds), desk.bus.balance) == (1, 1, 440)


def test_time_noted_by_several_is_all_counted_and_asked_for_once_at_a_time(desk_on_postgres: Any) -> None:
    desk = desk_on_postgres
    ticket = desk.ticket()
    at_once(*[lambda: desk.work(ticket, 10)] * 8)

    found = desk.look(ticket)
    assert (found["credits"]["worked"], found["overrun"]["credits"], len(found["time"])) == (80, 20, 8)
    assert [row["credits"] for row in desk.rows(storage.OVERRUN) if row["state"] == "asked"] == [20]


def test_closed_by_two_at_once_it_is_settled_once(desk_on_postgres: Any) -> None:
    desk = desk_on_postgres
    ticket = desk.ticket()
    desk.work(ticket, 45)
    answers = at_once(*[lambda: desk.ask(desk.staff, "close_ticket", id=ticket)] * 4)

    assert len([answer for answer in answers if not isinstance(answer, Refusal)]) == 1
    assert {answer.code for answer in answers if isinstance(answer, Refusal)} <= {"ticket_busy", "ticket_not_open"}
    assert (desk.bus.balance, len(desk.events("ticket_closed"))) == (455, 1)


def test_an_entry_is_taken_back_by_one_of_two(desk_on_postgres: Any) -> None:
    desk = desk_on_postgres
    ticket = desk.ticket()
    entry = desk.work(ticket, 45)["time"][0]["id"]
    answers = at_once(*[lambda: desk.ask(desk.staff, "add_time", id=ticket, reverses=entry, note="No")] * 4)

    assert [answer.code for answer in answers if isinstance(answer, Refusal)] == ["entry_reversed"] * 3
    assert desk.look(ticket)["credits"]["worked"] == 0


def test_several_processes_share_what_is_to_be_resumed(desk_on_postgres: Any) -> None:
    desk = desk_on_postgres
    desk.bus.fault = "down"
    for _ in range(6):
        desk.open()
    desk.bus.fault = None
    desk.clock.advance(seconds=31)
    at_once(*[desk.service.resume_tickets] * 3)

    assert {row["state"] for row in desk.rows(storage.TICKET)} == {"open"}
    assert (len(desk.bus.holds), len(desk.events("ticket_opened"))) == (6, 6)
