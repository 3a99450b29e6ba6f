"""States, delays, declines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payments.domain.declines import GENERIC, MESSAGES, decline, decline_code
from payments.domain.states import ENTERED_FROM, State, check_delay


def test_what_is_settled_stays_settled() -> None:
    settled = {State.CAPTURED, State.FAILED, State.VOIDED}
    assert not any(settled & sources for sources in ENTERED_FROM.values())
    assert set(ENTERED_FROM) == set(State)


def test_delays_grow_to_half_a_minute_and_no_further() -> None:
    assert [check_delay(checks).total_seconds() for checks in range(6)] == [2, 4, 8, 16, 30, 30]
    assert check_delay(10_000) == timedelta(seconds=30)


@pytest.mark.parametrize("code", ["stolen_card", "lost_card", "fraudulent", "whatever_comes_next", ""])
def test_what_could_help_a_thief_or_is_unknown_is_a_plain_decline(code: str) -> None:
    assert decline_code(code) == GENERIC
    assert decline(code) == {"code": GENERIC, "message": MESSAGES[GENERIC]}


def test_every_decline_says_what_to_do() -> None:
    for code, message in MESSAGES.items():
        assert decline(code) == {"code": code, "message": message}
        assert any(word in message for word in ("another card", "again", "Try")), message
