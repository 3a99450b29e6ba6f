"""When a delivery is tried again, and when it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.domain.deliveries import Failure, FailureKind, State, after_failure, message_id_of

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def delays(kind: FailureKind, attempts: int) -> list[float]:
    outcomes = [after_failure(Failure(kind, "x"), attempt, NOW, NOW) for attempt in range(1, attempts + 1)]
    assert {state for state, _ in outcomes} == {State.QUEUED}
    return [(at - NOW).total_seconds() for _, at in outcomes]


def test_delays_grow_to_an_hour() -> None:
    assert delays(FailureKind.DEFERRED, 12) == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


def test_an_absent_server_is_asked_again_within_half_a_minute() -> None:
    assert delays(FailureKind.UNREACHABLE, 5) == [5, 10, 20, 30, 30]


def test_thousands_of_attempts_are_still_an_hour_apart() -> None:
    assert after_failure(Failure(FailureKind.DEFERRED, "x"), 100_000, NOW, NOW)[1] == NOW + timedelta(hours=1)


def test_a_refusal_is_final() -> None:
    assert after_failure(Failure(FailureKind.REFUSED, "x"), 1, NOW, NOW)[0] is State.FAILED


@pytest.mark.parametrize("kind", [FailureKind.DEFERRED, FailureKind.UNREACHABLE])
def test_it_is_tried_for_five_days(kind: FailureKind) -> None:
    failure = Failure(kind, "x")

    assert after_failure(failure, 9, NOW, NOW + timedelta(days=4, hours=23))[0] is State.QUEUED
    assert after_failure(failure, 9, NOW, NOW + timedelta(days=5))[0] is State.FAILED


def test_message_id_follows_from_the_delivery() -> None:
    assert message_id_of("dlv_1", "punchcard.example") == "<dlv_1@punchcard.example>"
