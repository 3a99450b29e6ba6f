"""Whether a ticket would be accepted, and that opening one says the same."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from chassis.testing import identity
from support import storage
from support.domain.preflight import Contract, Coverage, objections

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_a_ticket_that_would_be_accepted(desk: Any) -> None:
    found = desk.ask(desk.customer, "preflight", deployment_id="14181336", cap_credits=500)

    assert (found["accepted"], found["reasons"], found["balance"]) == (True, [], 500)
    assert found["deployment"]["id"] == "14181336"
    assert [contract["name"] for contract in found["contracts"]] == ["Support contract"]
    assert desk.rows(storage.TICKET) == []


def test_everything_that_stands_in_the_way_is_said_at_once(desk: Any) -> None:
    desk.bus.contracts, desk.bus.retired, desk.bus.balance = 0, True, 0
    found = desk.ask(identity("viewer"), "preflight", deployment_id="14181336")

    assert not found["accepted"]
    assert [reason["code"] for reason in found["reasons"]] == [
        "forbidden", "deployment_retired", "no_contract", "insufficient_credits"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"retired": True}, "deployment_retired"),
        ({"contracts": 0}, "no_contract"),
        ({"term": {"starts_on": "2025-11-22", "ends_on": "2026-11-21"}}, "contract_expired"),
        ({"balance": 59}, "insufficient_credits"),
    ],
)
def test_opening_is_refused_for_the_same_reason_and_leaves_no_trace(
    desk: Any, wrong: dict[str, Any], code: str
) -> None:
    for name, value in wrong.items():
        setattr(desk.bus, name, value)
    assert desk.ask(desk.customer, "preflight", deployment_id="14181336", cap_credits=60)["reasons"][0]["code"] == code
    assert desk.refused(desk.customer, "open_ticket", **desk.opening()).code == code
    assert (desk.rows(storage.TICKET), desk.rows(storage.TICKET_NUMBER), desk.bus.holds) == ([], [], {})


def test_a_contract_is_good_until_the_end_of_its_last_day_and_one_that_runs_is_enough(desk: Any) -> None:
    def codes(**term: Any) -> list[str]:
        desk.bus.term = term
        asked = desk.ask(desk.customer, "preflight", deployment_id="14181336", cap_credits=1)
        return [reason["code"] for reason in asked["reasons"]]

    assert codes(starts_on="2025-11-23", ends_on="2026-11-22") == []
    assert codes(starts_on=None, ends_on=None) == []  # bound before contracts had terms
    desk.clock.advance(days=1)
    assert codes(starts_on="2025-11-23", ends_on="2026-11-22") == ["contract_expired"]
    refused = desk.refused(desk.customer, "open_ticket", **desk.opening())
    assert refused.extra == {"ended_on": "2026-11-22"}
    ended = Contract("A", "A", NOW, date(2025, 1, 1), date(2025, 12, 31))
    runs = Contract("A", "A", NOW, date(2026, 1, 1), date(2026, 12, 31))
    for contracts, found in (((ended,), ["contract_expired"]), ((ended, runs), [])):
        coverage = Coverage("1", "One", active=True, contracts=contracts)
        assert [each.code for each in objections("buyer", coverage, 1, 1, date(2026, 6, 1))] == found


def test_a_deployment_that_the_caller_may_not_name_does_not_exist(desk: Any) -> None:
    assert desk.refused(desk.customer, "preflight", deployment_id="999").code == "not_found"
    assert desk.refused(desk.customer, "open_ticket", **desk.opening(deployment_id="999")).code == "not_found"
