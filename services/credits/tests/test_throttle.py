"""Guessing claim codes: the eleventh failure in ten minutes waits, by organisation and by address."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from chassis.persistence import Throttle
from chassis.service import Service
from chassis.testing import identity
from credits.service import CreditsService
from credits.storage.tables import FAILURE
from credits.use_cases.get_balance import get_balance
from kernel.errors import Kind, Refusal


@pytest.fixture(autouse=True)
def strict(desk) -> None:
    desk.app.throttle = Throttle(FAILURE, 10)


def refusal_of(call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value


def buyer(number: int):
    return identity("buyer", user_id=f"usr_{number}", organization_id=f"org_{number}")


def test_the_eleventh_failure_of_an_organisation_waits_even_if_it_is_right(desk):
    _, number, code = desk.buy_card()
    for attempt in range(10):
        ask = desk.claim if attempt % 2 else desk.preview
        # another user of it, from another address each time
        caller = identity("buyer", user_id=f"usr_{attempt}", organization_id="org_bolt")
        wrong = refusal_of(partial(ask, number, "wrong", caller, client_address=f"192.0.2.{attempt}"))
        assert (wrong.kind, wrong.code) == (Kind.INVALID, "card_not_claimable")
    for ask, tried in ((desk.claim, "wrong"), (desk.preview, "wrong"), (desk.claim, code), (desk.preview, code)):
        refusal = refusal_of(lambda ask=ask, tried=tried: ask(number, tried, client_address="192.0.2.99"))
        assert (refusal.kind, refusal.code, refusal.extra) == (
            Kind.TOO_MANY, "too_many_attempts", {"retry_after_s": 600},
        )  # fmt: skip
    assert desk.preview(number, code, desk.acme, client_address="192.0.2.99")["credits"] == 300, "another organisation"
    desk.clock.advance(minutes=10)
    assert desk.claim(number, code)["credits"] == 300


def test_the_eleventh_failure_from_an_address_waits(desk):
    _, number, code = desk.buy_card()
    for attempt in range(10):
        address = f"2001:db8::{attempt:x}"  # all of one network
        wrong = refusal_of(partial(desk.claim, number, "wrong", buyer(attempt), client_address=address))
        assert wrong.code == "card_not_claimable"
    assert refusal_of(lambda: desk.claim(number, code, buyer(99), client_address="2001:db8::ff")).kind is Kind.TOO_MANY
    assert desk.claim(number, code, buyer(99), client_address="2001:db8:1::ff")["credits"] == 300


def test_what_is_wrong_does_not_show_in_who_waits(desk):
    """Unknown, claimed and wrong count alike, and the one who waits gets the same answer for each."""
    _, number, code = desk.buy_card()
    desk.claim(number, code, desk.acme)
    tried = [("SCC-NOBODY", code), (number, code), (number, "wrong"), ("", "")]
    for attempt in range(10):
        refusal_of(lambda pair=tried[attempt % 4]: desk.preview(*pair))
    waits = {json.dumps(refusal_of(lambda pair=pair: desk.preview(*pair)).as_dict()) for pair in tried}
    assert len(waits) == 1


def test_success_is_not_counted_and_a_replay_never_waits(desk):
    _, number, code = desk.buy_card()
    first = desk.claim(number, code, key="k")
    for bought in range(12):
        _, other, other_code = desk.buy_card(order_id=f"ord_{bought + 2}")
        desk.preview(other, other_code)
        desk.claim(other, other_code)
    with desk.database.reading() as reader:
        assert reader.all(sa.select(FAILURE)) == []
    for _ in range(11):
        refusal_of(lambda: desk.preview(number, "wrong"))
    assert desk.claim(number, code, key="k") == {**first, "replayed": True}


def test_who_may_not_claim_uses_up_nobodys_attempts(desk):
    for _ in range(11):
        assert refusal_of(lambda: desk.preview("SCC", "x", identity("viewer"))).code == "forbidden"


def test_fifty_claims_of_one_card_at_once_under_the_throttle(desk):
    _, number, code = desk.buy_card()

    def attempt(_: int) -> str:
        try:
            return str(desk.claim(number, code)["credits"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(50) as threads:
        outcomes = Counter(threads.map(attempt, range(50)))
    assert outcomes == {"300": 1, "card_not_claimable": 10, "too_many_attempts": 39}
    assert get_balance(desk.app, desk.bolt)["balance"] == 300


def test_what_has_been_forgotten_is_removed(desk):
    service = CreditsService()
    service.app = desk.app
    refusal_of(lambda: desk.preview("SCC", "x"))
    desk.clock.advance(days=1)
    service.clean_up()
    with desk.database.reading() as reader:
        assert len(reader.all(sa.select(FAILURE))) == 2
    desk.clock.advance(seconds=1)
    service.clean_up()
    with desk.database.reading() as reader:
        assert reader.all(sa.select(FAILURE)) == []
    assert set(Service.kept_days) < set(CreditsService.kept_days)
