"""Failing on purpose: only in a test build, only where it was told to, and only as often."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from chassis import failpoints
from chassis.failpoints import FailedOnPurpose
from chassis.settings import Environment, SettingsError

TEST_BUILD = {"PUNCHCARD_TEST_BUILD": "1"}


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm(Environment({}))


def arm(text: str) -> None:
    failpoints.arm(Environment({**TEST_BUILD, "PUNCHCARD_FAILPOINTS": text}))


def test_only_a_test_build_fails_on_purpose() -> None:
    for name in ("PUNCHCARD_FAILPOINTS", "PUNCHCARD_CLOCK_OFFSET_S"):
        environment = Environment({name: "1"})
        with pytest.raises(SettingsError, match=f"{name} .* for tests only: unset it, or set PUNCHCARD_TEST_BUILD=1"):
            (failpoints.arm if "FAIL" in name else failpoints.clock)(environment)


@pytest.mark.parametrize("text", ["relay.published", "relay.published=die", "relay.published=kill@0", "nowhere=kill"])
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="PUNCHCARD_FAILPOINTS"):
        arm(text)


def test_every_place_there_is_can_be_named() -> None:
    arm(",".join(f"{place}=raise" for place in sorted(failpoints.PLACES)))
    for place in failpoints.PLACES:
        with pytest.raises(FailedOnPurpose):
            failpoints.reach(place)


def test_it_fails_where_and_when_it_was_told_to() -> None:
    failpoints.reach("relay.published")
    arm("relay.published=raise@2,request.worked=raise")
    failpoints.reach("event.handled")
    failpoints.reach("relay.published")
    with pytest.raises(FailedOnPurpose, match=r"relay\.published"):
        failpoints.reach("relay.published")
    failpoints.reach("relay.published")
    for _ in range(2):
        with pytest.raises(FailedOnPurpose):
            failpoints.reach("request.worked")


def test_arming_again_does_not_start_the_count_again() -> None:
    arm("relay.published=raise@2")
    failpoints.reach("relay.published")
    arm("relay.published=raise@2")
    with pytest.raises(FailedOnPurpose):
        failpoints.reach("relay.published")


def test_killed_is_killed() -> None:
    program = (
        "from chassis import failpoints; from chassis.settings import Environment\n"
        "failpoints.arm(Environment()); failpoints.reach('relay.published')"
    )
    environment = {**os.environ, **TEST_BUILD, "PUNCHCARD_FAILPOINTS": "relay.published=kill"}
    assert subprocess.run([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL).returncode == -9


def test_a_clock_may_be_an_hour_off() -> None:
    def off(**variables: str) -> timedelta:
        return failpoints.clock(Environment({**TEST_BUILD, **variables})).now() - datetime.now(UTC)

    assert abs(off()) < timedelta(seconds=60)
    assert abs(off(PUNCHCARD_CLOCK_OFFSET_S="-3600") + timedelta(hours=1)) < timedelta(seconds=60)
    with pytest.raises(SettingsError, match="PUNCHCARD_CLOCK_OFFSET_S is 'soon'"):
        off(PUNCHCARD_CLOCK_OFFSET_S="soon")
