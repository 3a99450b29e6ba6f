"""The service class: contracts, settings, and that it understands those it asks."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.contracts import describe
from chassis.settings import Environment, SettingsError
from chassis.testing import rpc_contract
from support import messages
from support.service import SupportService
from support.settings import Settings, read


def test_every_message_has_a_contract() -> None:
    files = describe(SupportService, messages.EVENTS, messages.RPC_EXAMPLES)
    assert "support/events/ticket_opened.v1.example.json" in files
    assert {path for path in files if "/rpc/" in path} == {
        f"support/rpc/{name}.json" for name in messages.RPC_EXAMPLES
    }  # fmt: skip


def test_settings_have_defaults_and_are_checked() -> None:
    assert read(Environment({})) == Settings()
    assert read(Environment({"SUPPORT_REOPEN_DAYS": "0"})).reopen_days == 0


@pytest.mark.parametrize(
    "values", [{"SUPPORT_RESUME_AFTER_S": "5"}, {"SUPPORT_RESUME_AT_MOST_S": "9"}, {"SUPPORT_REOPEN_DAYS": "-1"}]
)
def test_settings_that_cannot_work_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="SUPPORT_"):
        read(Environment(values))


@pytest.mark.parametrize(
    ("service", "method", "schema"),
    [
        ("accounts", "get_coverage", messages.CoverageReply()),
        ("credits", "get_balance", messages.BalanceReply()),
        ("credits", "hold", messages.HoldReply()),
        ("credits", "raise_hold", messages.HoldReply()),
        ("credits", "settle_hold", messages.HoldReply()),
        ("credits", "give_back_hold", messages.HoldReply()),
    ],
)
def test_what_others_answer_is_understood(service: str, method: str, schema: Any) -> None:
    assert schema.load(rpc_contract(service, method)["example"]["reply"])
