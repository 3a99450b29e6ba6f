"""What an order brings, and when a card is what."""

from datetime import UTC, datetime, timedelta

import pytest

from credits.domain.cards import CardState, state_at
from credits.domain.crediting import plan

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_credits_for_the_organisation_are_one_grant_a_line(line):
    grants, cards = plan("O-7", [line("a", credits=120, quantity=3), line("b", credits=300)])
    assert [(grant.line_id, grant.credits, grant.cause) for grant in grants] == [
        ("a", 360, "order_line:a"), ("b", 300, "order_line:b"),
    ]  # fmt: skip
    assert grants[0].memo == "3 x 120 credits, order O-7"
    assert cards == []


def test_each_unit_of_a_carded_line_is_a_card(line):
    grants, cards = plan("O-7", [line("a", credits=600, quantity=3, to="support_card")])
    assert grants == []
    assert [(card.sequence, card.credits, card.cause) for card in cards] == [
        (1, 600, "order_line:a/1"), (2, 600, "order_line:a/2"), (3, 600, "order_line:a/3"),
    ]  # fmt: skip


def test_lines_without_credits_bring_nothing(line):
    assert plan("O-7", [line("a", credits=0, to=None), line("b", credits=0, to="support_card")]) == ([], [])


@pytest.mark.parametrize("state", [CardState.ISSUED, CardState.FROZEN])
def test_a_card_that_holds_credits_expires_to_the_moment(state):
    assert state_at(state, NOW, NOW - timedelta(microseconds=1)) is state
    assert state_at(state, NOW, NOW) is CardState.EXPIRED
    assert state_at(state, None, NOW) is state


@pytest.mark.parametrize("state", [CardState.CLAIMED, CardState.RECALLED, CardState.EXPIRED])
def test_a_final_state_stays(state):
    assert state_at(state, NOW, NOW + timedelta(days=1)) is state
