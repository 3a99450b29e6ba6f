"""What reconciliations of the whole store found, kept for operators."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from chassis.testing import identity
from credits.use_cases.reconciliations import list_reconciliations, record_reconciliation, sampler
from kernel.errors import Refusal

BREAK = {"rule": "paid_line_is_bound", "subject": "ord_1 lin_1", "expected": 1, "found": 0}


def record(desk, *breaks, caller=None):
    now = desk.clock.now()
    return record_reconciliation(
        desk.app, caller or desk.support, began_at=now - timedelta(seconds=60), ended_at=now, looked_at={"orders": 12},
        breaks_count=len(breaks), breaks=breaks,
    )  # fmt: skip


def test_they_are_kept_newest_first_with_figures_of_the_last(desk, caplog):
    assert list(sampler(desk.app)()) == []
    record(desk, BREAK)
    assert [line.message for line in caplog.records if line.levelno == logging.ERROR] == [
        "reconciliation: 1 places are broken", "broken: paid_line_is_bound: ord_1 lin_1: expected 1, found 0",
    ]  # fmt: skip
    desk.clock.advance(seconds=300)
    record(desk)
    desk.clock.advance(seconds=30)
    found = list_reconciliations(desk.app, desk.support, limit=10, cursor=None)["items"]
    assert [(each["breaks_count"], each["breaks"]) for each in found] == [(0, []), (1, [BREAK])]
    assert found[0]["looked_at"] == {"orders": 12}
    assert list(sampler(desk.app)()) == [
        ("punchcard_reconciliation_breaks", (), 0), ("punchcard_reconciliation_age_seconds", (), 30.0),
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["ticket", "viewer", "buyer", "admin"])
def test_they_are_for_staff(desk, role):
    with pytest.raises(Refusal):
        list_reconciliations(desk.app, identity(role), limit=10, cursor=None)
    with pytest.raises(Refusal):
        record(desk, caller=identity(role))
