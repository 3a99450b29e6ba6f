"""A ticket from its opening to its end: what is held, worked, asked for, debited and given back."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.testing import identity


@pytest.fixture
def ticket(desk: Any) -> str:
    return desk.ticket()


def credits(desk: Any, ticket_id: str) -> dict[str, int]:
    return desk.look(ticket_id)["credits"]


def test_a_ticket_is_open_once_its_credits_are_held(desk_on_both: Any) -> None:
    desk = desk_on_both
    reply = desk.open()
    ticket = reply["ticket"]

    assert (reply["status"], reply["replayed"], ticket["state"]) == (201, False, "open")
    assert ticket["number"] == "T-1001"
    assert ticket["description"] == "Since yesterday.\nAll of them."
    assert ticket["requester"] == {"id": "usr_tom", "name": "Tom Ticket"}
    assert ticket["credits"] == {"cap": 60, "worked": 0, "written_off": 0, "debited": 0, "given_back": 0}
    assert desk.bus.holds == {f"{ticket['id']}/1": {"credits": 60, "spent": 0, "given_back": 0}}
    (event,) = desk.events("ticket_opened")
    assert (event["ticket_id"], event["cap_credits"], event["round"]) == (ticket["id"], 60, 1)
    assert event["recipient"]["email"] == "tom@acme.example"
    assert desk.look(ticket["id"]) == ticket
    assert desk.open()["ticket"]["number"] == "T-1002"


def test_worked_and_closed_it_debits_what_was_worked_and_returns_the_rest(desk_on_both: Any) -> None:
    desk = desk_on_both
    ticket_id = desk.ticket()
    desk.work(ticket_id, 20)
    worked = desk.work(ticket_id, 25, worked_on="2026-11-21")
    assert [entry["minutes"] for entry in worked["time"]] == [20, 25]
    assert [entry["worked_on"] for entry in worked["time"]] == ["2026-11-22", "2026-11-21"]
    assert {entry["worked_by"] for entry in worked["time"]} == {"Sam Stone"}

    closed = desk.ask(desk.staff, "close_ticket", id=ticket_id)["ticket"]

    assert (closed["state"], closed["credits"]["debited"], closed["closed_at"]) == (
        "closed", 45, "2026-11-22T12:00:00.000Z"
    )  # fmt: skip
    assert desk.bus.balance == 500 - 45
    (event,) = desk.events("ticket_closed")
    assert (event["held"], event["debited"], event["returned"], event["written_off"]) == (60, 45, 15, 0)
    assert desk.refused(desk.staff, "close_ticket", id=ticket_id).code == "ticket_not_open"
    assert desk.refused(desk.staff, "add_time", id=ticket_id, minutes=5, note="Late").code == "ticket_not_open"


def test_a_wrong_entry_is_taken_back_by_another_and_once(desk: Any, ticket: str) -> None:
    first = desk.work(ticket, 50)["time"][0]["id"]
    after = desk.ask(desk.staff, "add_time", id=ticket, reverses=first, note="Another ticket's")["ticket"]

    assert [entry["minutes"] for entry in after["time"]] == [50, -50]
    assert after["time"][1]["reverses"] == first
    assert after["credits"]["worked"] == 0
    again = desk.refused(desk.staff, "add_time", id=ticket, reverses=first, note="Again")
    assert again.code == "entry_reversed"
    reversal = after["time"][1]["id"]
    assert desk.refused(desk.staff, "add_time", id=ticket, reverses=reversal, note="No").code == "entry_is_reversal"
    other = desk.ticket()
    assert desk.refused(desk.staff, "add_time", id=other, reverses=first, note="No").code == "not_found"
    assert credits(desk, ticket)["worked"] == 0


def test_time_beyond_the_cap_is_kept_and_the_customer_is_asked_once(desk: Any, ticket: str) -> None:
    over = desk.work(ticket, 90)

    assert (over["state"], over["credits"]["worked"], over["overrun"]["credits"]) == ("waiting_for_customer", 90, 30)
    (event,) = desk.events("overrun_asked")
    assert (event["overrun_id"], event["credits"], event["cap_credits"]) == (over["overrun"]["id"], 30, 60)
    assert desk.bus.balance == 440, "nothing is held without a yes"


def test_after_a_yes_the_hold_is_raised(desk: Any, ticket: str) -> None:
    desk.work(ticket, 90)
    answer = desk.ask(desk.customer, "answer_overrun", id=ticket, approve=True, expected_credits=30)

    assert (answer["ticket"]["state"], answer["ticket"]["credits"]["cap"], answer["ticket"]["overrun"]) == (
        "open", 90, None
    )  # fmt: skip
    assert desk.bus.balance == 410
    assert desk.ask(desk.staff, "close_ticket", id=ticket)["ticket"]["credits"]["debited"] == 90
    assert desk.refused(desk.customer, "answer_overrun", id=ticket, approve=True).code == "ticket_not_open"


def test_after_a_no_the_time_is_written_off_and_support_goes_on_within_the_cap(desk: Any, ticket: str) -> None:
    first = desk.work(ticket, 90)["time"][0]["id"]
    answer = desk.ask(desk.customer, "answer_overrun", id=ticket, approve=False)
    assert (answer["ticket"]["state"], answer["ticket"]["credits"]["written_off"]) == ("open", 30)
    assert desk.work(ticket, 10)["overrun"]["credits"] == 10, "what is new is asked for anew"

    # the long entry was wrong: what is left fits, and nothing stays asked or written off
    left = desk.ask(desk.staff, "add_time", id=ticket, reverses=first, note="Wrong")["ticket"]

    assert left["credits"] == {"cap": 60, "worked": 10, "written_off": 0, "debited": 0, "given_back": 0}
    assert (left["state"], left["overrun"]) == ("open", None)
    assert desk.ask(desk.staff, "close_ticket", id=ticket)["ticket"]["credits"]["debited"] == 10


def test_more_time_replaces_the_question_and_an_old_yes_does_not_count_for_it(desk: Any, ticket: str) -> None:
    desk.work(ticket, 90)
    assert desk.work(ticket, 5)["overrun"]["credits"] == 35
    assert [event["credits"] for event in desk.events("overrun_asked")] == [30, 35]

    changed = desk.refused(desk.customer, "answer_overrun", id=ticket, approve=True, expected_credits=30)

    assert (changed.code, changed.extra) == ("overrun_changed", {"credits": 35})
    assert desk.bus.balance == 440


def test_what_nobody_agreed_to_is_not_debited_when_it_is_closed(desk: Any, ticket: str) -> None:
    desk.work(ticket, 90)
    closed = desk.ask(desk.staff, "close_ticket", id=ticket)["ticket"]

    assert (closed["credits"]["debited"], closed["credits"]["written_off"], closed["overrun"]) == (60, 30, None)


def test_a_yes_without_credits_is_refused_and_stays_asked(desk: Any, ticket: str) -> None:
    desk.work(ticket, 90)
    desk.bus.balance = 29

    refusal = desk.refused(desk.customer, "answer_overrun", id=ticket, approve=True, idempotency_key="yes")
    assert (refusal.code, refusal.extra["balance"]) == ("insufficient_credits", 29)
    assert desk.look(ticket)["overrun"]["credits"] == 30
    assert desk.refused(desk.customer, "answer_overrun", id=ticket, approve=True, idempotency_key="yes").extra == {
        "balance": 29, "replayed": True
    }  # fmt: skip
    desk.bus.balance = 30
    assert desk.ask(desk.customer, "answer_overrun", id=ticket, approve=True)["ticket"]["credits"]["cap"] == 90


def test_a_defect_gives_back_what_was_debited_once(desk: Any, ticket: str) -> None:
    desk.work(ticket, 45)
    desk.ask(desk.staff, "close_ticket", id=ticket)
    found = desk.ask(desk.staff, "give_back_defect", id=ticket, reason="A defect of release 21")["ticket"]

    assert (found["state"], found["credits"]["debited"], found["credits"]["given_back"]) == ("closed", 45, 45)
    assert found["defect"] == {"found_at": "2026-11-22T12:00:00.000Z", "reason": "A defect of release 21"}
    assert desk.bus.balance == 500
    assert [event["given_back"] for event in desk.events("defect_credited")] == [45]
    assert desk.refused(desk.staff, "give_back_defect", id=ticket, reason="Again").code == "ticket_is_defect"


def test_a_defect_found_early_closes_the_ticket_and_debits_nothing(desk: Any, ticket: str) -> None:
    desk.work(ticket, 45)
    found = desk.ask(desk.staff, "give_back_defect", id=ticket, reason="Ours")["ticket"]

    assert (found["state"], found["credits"]["debited"], desk.bus.balance) == ("closed", 0, 500)
    (event,) = desk.events("ticket_closed")
    assert (event["debited"], event["defect_reason"]) == (0, "Ours")
    assert desk.events("defect_credited") == [], "one mail says it"


def test_a_closed_ticket_opens_again_with_a_hold_of_its_own(desk_on_both: Any) -> None:
    desk = desk_on_both
    ticket = desk.ticket()
    entry = desk.work(ticket, 45)["time"][0]["id"]
    desk.ask(desk.staff, "close_ticket", id=ticket)

    again = desk.ask(desk.customer, "reopen_ticket", id=ticket, cap_credits=30)

    assert (again["status"], again["ticket"]["state"], again["ticket"]["closed_at"]) == (200, "open", None)
    assert again["ticket"]["credits"] == {"cap": 30, "worked": 0, "written_off": 0, "debited": 45, "given_back": 0}
    assert desk.refused(desk.staff, "add_time", id=ticket, reverses=entry, note="No").code == "entry_settled"
    desk.work(ticket, 10)
    assert desk.ask(desk.staff, "close_ticket", id=ticket)["ticket"]["credits"]["debited"] == 55
    assert desk.bus.balance == 445
    desk.ask(desk.staff, "give_back_defect", id=ticket, reason="Ours")
    assert desk.bus.balance == 500, "a defect gives back what all rounds have cost"
    assert desk.refused(desk.customer, "reopen_ticket", id=ticket, cap_credits=1).code == "ticket_is_defect"


def test_a_defect_of_a_ticket_that_was_opened_again_gives_back_the_first_round_too(desk: Any, ticket: str) -> None:
    desk.work(ticket, 45)
    desk.ask(desk.staff, "close_ticket", id=ticket)
    desk.ask(desk.customer, "reopen_ticket", id=ticket, cap_credits=30)
    desk.work(ticket, 20)

    found = desk.ask(desk.staff, "give_back_defect", id=ticket, reason="Ours")["ticket"]

    assert (found["credits"]["debited"], found["credits"]["given_back"], desk.bus.balance) == (45, 45, 500)


def test_a_ticket_is_not_opened_again_without_credits_or_after_a_while(desk: Any, ticket: str) -> None:
    assert desk.refused(desk.customer, "reopen_ticket", id=ticket, cap_credits=1).code == "ticket_not_closed"
    desk.work(ticket, 45)
    desk.ask(desk.staff, "close_ticket", id=ticket)
    before = desk.look(ticket)
    assert desk.refused(desk.customer, "reopen_ticket", id=ticket, cap_credits=456).code == "insufficient_credits"
    desk.bus.contracts = 0
    assert desk.refused(desk.customer, "reopen_ticket", id=ticket, cap_credits=1).code == "no_contract"
    desk.bus.contracts = 1
    assert desk.look(ticket) == before
    desk.clock.advance(days=14, seconds=1)
    assert desk.refused(desk.customer, "reopen_ticket", id=ticket, cap_credits=1).code == "ticket_closed_too_long"


def test_the_customer_may_take_a_ticket_back_until_support_begins(desk: Any, ticket: str) -> None:
    assert desk.ask(desk.customer, "close_ticket", id=ticket)["ticket"]["credits"]["debited"] == 0
    assert desk.bus.balance == 500
    begun = desk.ticket()
    desk.work(begun, 5)
    assert desk.refused(desk.customer, "close_ticket", id=begun).code == "work_has_begun"


def test_comments_pass_the_turn_and_internal_ones_do_not(desk: Any, ticket: str) -> None:
    def say(who: Any, text: str, **more: Any) -> str:
        return str(desk.ask(who, "add_comment", id=ticket, text=text, **more)["state"])

    assert say(desk.staff, "Which release?") == "waiting_for_customer"
    assert say(desk.customer, "21.\r\nSince Monday.") == "open"
    assert say(desk.staff, "Smells like ours.", internal=True) == "open"
    seen = desk.ask(desk.customer, "list_comments", id=ticket)["items"]
    assert [(each["text"], each["by_staff"]) for each in seen] == [
        ("Which release?", True), ("21.\nSince Monday.", False)
    ]  # fmt: skip
    assert len(desk.ask(desk.staff, "list_comments", id=ticket)["items"]) == 3
    assert [event["lines"] for event in desk.events("ticket_answered")] == [["Which release?"]]
    desk.work(ticket, 90)
    assert say(desk.customer, "Hm.") == "waiting_for_customer", "the question for credits is still open"
    desk.ask(desk.staff, "close_ticket", id=ticket)
    assert desk.refused(desk.customer, "add_comment", id=ticket, text="Thanks").code == "ticket_not_open"
    assert say(desk.staff, "Closed by phone.", internal=True) == "closed"


def test_lists_are_the_organizations_own_and_the_queue_is_the_oldest_first(desk: Any) -> None:
    first, second = desk.ticket(), desk.ticket()
    desk.work(second, 90)
    closed = desk.ticket()
    desk.ask(desk.staff, "close_ticket", id=closed)

    def listed(who: Any, method: str, **query: Any) -> list[str]:
        return [item["id"] for item in desk.ask(who, method, **query)["items"]]

    assert listed(desk.customer, "list_tickets") == [closed, second, first]
    assert listed(desk.customer, "list_tickets", state="waiting_for_customer") == [second]
    assert listed(desk.customer, "list_tickets", deployment_id="1") == []
    assert listed(desk.stranger, "list_tickets") == []
    assert listed(desk.staff, "list_queue") == [first, second]
    assert listed(desk.staff, "list_queue", state="closed") == [closed]
    assert listed(desk.staff, "list_queue", organization_id="org_globex") == []
    assert desk.ask(desk.staff, "list_queue")["items"][1]["overrun"]["credits"] == 30
    page = desk.ask(desk.staff, "list_queue", limit=1)
    assert listed(desk.staff, "list_queue", limit=1, cursor=page["next"]) == [second]


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("get_ticket", {}),
        ("list_comments", {}),
        ("add_comment", {"text": "Hello"}),
        ("answer_overrun", {"approve": True}),
        ("close_ticket", {}),
        ("reopen_ticket", {"cap_credits": 1}),
    ],
)
def test_another_organizations_ticket_is_none(desk: Any, ticket: str, method: str, data: dict[str, Any]) -> None:
    desk.work(ticket, 90)
    foreign = desk.refused(desk.stranger, method, id=ticket, **data)
    unknown = desk.refused(desk.stranger, method, id="tkt_none", **data)
    assert (foreign.code, foreign.as_dict()) == ("not_found", unknown.as_dict())


@pytest.mark.parametrize(
    ("method", "data", "roles"),
    [
        ("open_ticket", None, ("viewer", "finance", "support")),
        ("preflight", {"deployment_id": "14181336"}, ("finance", "support")),
        ("list_tickets", {}, ("finance", "support")),
        ("list_queue", {}, ("ticket", "viewer", "buyer", "admin")),
        ("add_comment", {"text": "Hi"}, ("viewer", "finance")),
        ("add_time", {"minutes": 1, "note": "x"}, ("ticket", "viewer", "buyer", "admin", "finance")),
        ("answer_overrun", {"approve": True}, ("viewer", "finance", "support")),
        ("close_ticket", {}, ("viewer", "finance")),
        ("give_back_defect", {"reason": "x"}, ("ticket", "viewer", "buyer", "admin", "finance")),
        ("reopen_ticket", {"cap_credits": 1}, ("viewer", "finance", "support")),
    ],
)
def test_who_may_not(desk: Any, ticket: str, method: str, data: dict[str, Any] | None, roles: tuple[str, ...]) -> None:
    named = {} if method in ("open_ticket", "preflight", "list_tickets", "list_queue") else {"id": ticket}
    for role in roles:
        refusal = desk.refused(identity(role), method, **named, **(desk.opening() if data is None else data))
        assert refusal.code == "forbidden", role
    assert desk.refused(desk.customer, "add_comment", id=ticket, text="x", internal=True).code == "forbidden"


@pytest.mark.parametrize(
    ("method", "data", "field"),
    [
        ("open_ticket", {"subject": "a\nb"}, "subject"),
        ("open_ticket", {"subject": " "}, "subject"),
        ("open_ticket", {"description": " \n "}, "description"),
        ("open_ticket", {"description": "x\x00"}, "description"),
        ("open_ticket", {"description": "x" * 10_001}, "description"),
        ("open_ticket", {"description": "My card is 4242 4242 4242 4242."}, "description"),
        ("open_ticket", {"cap_credits": 0}, "cap_credits"),
        ("open_ticket", {"cap_credits": True}, "cap_credits"),
        ("open_ticket", {"organization_id": "org_globex"}, "organization_id"),
        ("add_time", {"minutes": 0}, "minutes"),
        ("add_time", {"minutes": -5}, "minutes"),
        ("add_time", {"minutes": 1441}, "minutes"),
        ("add_time", {"minutes": 5, "reverses": "tme_1"}, ""),
        ("add_time", {"minutes": 5, "worked_on": "2026-11-24"}, "worked_on"),
        ("answer_overrun", {"approve": "yes"}, "approve"),
    ],
)
def test_bad_input_is_named_and_leaves_no_trace(
    desk: Any, ticket: str, method: str, data: dict[str, Any], field: str
) -> None:
    before = desk.look(ticket)
    named = desk.opening() if method == "open_ticket" else {"id": ticket}
    good = {"note": "Looked"} if method == "add_time" else {}
    who = desk.staff if method == "add_time" else desk.customer

    refusal = desk.refused(who, method, **{**named, **good, **data})

    assert refusal.kind == "invalid"
    assert [error["field"] for error in refusal.errors] == [field]
    assert desk.look(ticket) == before
    assert len(desk.ask(desk.customer, "list_tickets")["items"]) == 1


def test_asked_again_under_its_key_everything_answers_as_at_first(desk: Any) -> None:
    def twice(who: Any, method: str, **data: Any) -> Any:
        first = desk.ask(who, method, idempotency_key=method, **data)
        desk.bus.contracts, desk.bus.retired = 0, True  # an answer that was given does not depend on this
        again = desk.ask(who, method, idempotency_key=method, **data)
        desk.bus.contracts, desk.bus.retired = 1, False
        assert again == {**first, "replayed": True}
        return first

    ticket = twice(desk.customer, "open_ticket", **desk.opening())["ticket"]["id"]
    twice(desk.staff, "add_comment", id=ticket, text="Hello")
    twice(desk.staff, "add_time", id=ticket, minutes=90, note="Looked")
    twice(desk.customer, "answer_overrun", id=ticket, approve=True)
    twice(desk.staff, "close_ticket", id=ticket)
    twice(desk.customer, "reopen_ticket", id=ticket, cap_credits=10)
    twice(desk.staff, "give_back_defect", id=ticket, reason="Ours")
    assert (desk.bus.balance, len(desk.events("ticket_opened"))) == (500, 2)
    reused = desk.refused(desk.customer, "open_ticket", idempotency_key="open_ticket", **desk.opening(cap_credits=1))
    assert reused.code == "idempotency_key_reused"


def test_where_every_tickets_credits_are_is_for_staff(desk: Any, ticket: str) -> None:
    desk.work(ticket, 45)
    desk.ask(desk.staff, "close_ticket", id=ticket)
    desk.ask(desk.staff, "give_back_defect", id=ticket, reason="Ours")
    other = desk.ticket()
    assert desk.ask(desk.staff, "ticket_facts")["items"] == [
        {"ticket_id": other, "step": None, "held": 60, "debited": 0, "given_back": 0},
        {"ticket_id": ticket, "step": None, "held": 0, "debited": 45, "given_back": 45},
    ]
    assert desk.refused(desk.customer, "ticket_facts").code == "forbidden"
