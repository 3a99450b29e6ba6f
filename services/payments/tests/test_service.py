"""Entrypoints, messages and settings."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from chassis.messages import dump_checked, load_request
from chassis.service import Call
from chassis.settings import Environment, SettingsError
from chassis.testing import identity, rpc_contract
from kernel.errors import Refusal
from payments import messages, settings
from payments.bootstrap import App, bootstrap
from payments.clients import Cart
from payments.domain.remittances import Terms
from payments.providers.offline import OfflineProvider
from payments.service import PaymentsService

_ENVIRONMENT = {"PAYMENTS_PROVIDER_URL": "http://127.0.0.1:1", "PAYMENTS_PROVIDER_KEY": "secret",
                "PAYMENTS_WEBHOOK_SECRET": "whsec"}  # fmt: skip
_COLLECT = messages.RPC_EXAMPLES["collect"]["request"]


def _collect_with(path: str, value: Any) -> dict[str, Any]:
    request = copy.deepcopy(_COLLECT)
    *parents, last = path.split(".")
    target = request
    for parent in parents:
        target = target[parent]
    target[last] = value
    return request


@pytest.mark.parametrize("caller", [None, identity()], ids=["process manager", "user"])
def test_the_entrypoints_answer_as_the_contract_says(app: App, caller: Any) -> None:
    service = PaymentsService()
    service.app = app

    collected = service.collect(Call(load_request(messages.Collect(), _COLLECT), caller, None))
    asked = service.get_intent(
        Call(load_request(messages.GetIntent(), {"order_id": _COLLECT["order_id"]}), caller, None)
    )
    service.settle_payments()

    assert asked == collected
    assert dump_checked(messages.IntentReply(), collected) == {
        **messages.RPC_EXAMPLES["collect"]["reply"],
        "intent_id": collected["intent_id"],
    }


@pytest.mark.parametrize("event", messages.EVENTS, ids=lambda event: event.name)
def test_the_examples_of_events_are_what_the_schemas_say(event: Any) -> None:
    assert dump_checked(event.schema, event.schema.load(event.example)) == event.example


def test_the_examples_of_rpc_are_what_the_schemas_say() -> None:
    asked = {"collect": messages.Collect(), "void": messages.Void(), "get_intent": messages.GetIntent()}
    for method, request in asked.items():
        example = messages.RPC_EXAMPLES[method]
        assert load_request(request, example["request"]) == example["request"]
        assert dump_checked(messages.IntentReply(), example["reply"]) == example["reply"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("amount.amount_minor", 0),
        ("amount.amount_minor", -1),
        ("amount.amount_minor", 10**12 + 1),
        ("amount.amount_minor", "12000"),
        ("amount.amount_minor", 120.5),
        ("amount.currency", "XXX"),
        ("method", "wire"),
        ("order_id", ""),
        ("order_id", None),
        ("provider_token", "4242424242424242"),
        ("provider_token", "4242 4242 4242 4242"),
        ("provider_token", None),
        ("payment_method_id", "pm_1"),
        ("payer.organization_id", "org\nacme"),
        ("payer.cvc", "123"),
        ("price", 1),
    ],
)
def test_a_request_that_is_wrong_in_one_thing_is_refused(path: str, value: Any) -> None:
    with pytest.raises(Refusal) as refused:
        load_request(messages.Collect(), _collect_with(path, value))

    assert refused.value.code == "validation_failed"
    assert "4242" not in str(refused.value.as_dict())


def test_settings_have_harmless_defaults_only() -> None:
    read = settings.read(Environment(_ENVIRONMENT))

    assert (read.connect_timeout_s, read.read_timeout_s, read.connections) == (1.0, 5.0, 20)
    assert read.webhook_secrets == ("whsec",)
    assert "secret" not in repr(read).replace("webhook_secrets", "")
    assert read.lease.total_seconds() > read.connect_timeout_s + read.read_timeout_s


@pytest.mark.parametrize("name", list(_ENVIRONMENT))
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.read(Environment({**_ENVIRONMENT, name: ""}))


def test_while_the_webhook_secret_is_changed_both_are_good() -> None:
    read = settings.read(Environment({**_ENVIRONMENT, "PAYMENTS_WEBHOOK_SECRET_BEFORE": "old"}))
    assert read.webhook_secrets == ("whsec", "old")


_WIRE = {
    "PAYMENTS_WIRE_ACCOUNT": "DE89", "PAYMENTS_WIRE_BENEFICIARY": "Punchcard", "PAYMENTS_WIRE_BANK": "A Bank",
    "PAYMENTS_WIRE_BIC": "ABCDEFGH",
}  # fmt: skip


def test_a_method_is_open_if_it_is_known_where_its_money_goes() -> None:
    assert settings.read(Environment(_ENVIRONMENT)).remittances == {}
    wire = {**_WIRE, "PAYMENTS_WIRE_DUE_DAYS": "3", "PAYMENTS_WIRE_REMINDER_DAYS": "none"}
    check = {"PAYMENTS_CHECK_PAYABLE_TO": "Punchcard", "PAYMENTS_CHECK_ADDRESS": "1 Main St"}
    read = settings.read(Environment({**_ENVIRONMENT, **wire, **check})).remittances
    pay_to = {"account": "DE89", "beneficiary": "Punchcard", "bank": "A Bank", "bic": "ABCDEFGH"}
    assert read["wire"] == Terms(pay_to, 3, 30, ())
    assert read["check"] == Terms({"payable_to": "Punchcard", "address": "1 Main St"}, 21, 45, (10, 21, 35))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"PAYMENTS_WIRE_BIC": ""}, "PAYMENTS_WIRE_BIC"),
        ({"PAYMENTS_WIRE_DUE_DAYS": "30"}, "PAYMENTS_WIRE_DUE_DAYS"),
        ({"PAYMENTS_WIRE_CANCEL_DAYS": "soon"}, "PAYMENTS_WIRE_CANCEL_DAYS"),
        ({"PAYMENTS_WIRE_REMINDER_DAYS": "7, weekly"}, "PAYMENTS_WIRE_REMINDER_DAYS"),
    ],
    ids=str,
)
def test_terms_that_make_no_sense_are_refused(changes: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        settings.read(Environment({**_ENVIRONMENT, **_WIRE, **changes}))


def test_bootstrap_puts_the_offline_provider_in(app: App) -> None:
    woken: list[str] = []
    runtime: Any = SimpleNamespace(
        environment=Environment(_ENVIRONMENT),
        database=app.database,
        waker=lambda name: lambda: woken.append(name),
        rpc=None,
    )
    made = bootstrap(runtime)

    assert made.database is app.database
    assert isinstance(made.provider, OfflineProvider)
    made.settle_soon()
    assert woken == ["settle_payments"]
    assert hasattr(PaymentsService, woken[0])


def test_what_is_asked_of_cart_is_what_cart_takes_and_answers() -> None:
    contract, asked = rpc_contract("cart", "paid_orders"), []

    class Rpc:
        def call(self, service: str, method: str, data: dict[str, Any], *, reply: Any) -> Any:
            asked.append((service, method, data))
            return reply.load(contract["example"]["reply"])

    [order] = Cart(Rpc()).paid_orders(("ord_1",))  # type: ignore[arg-type]  # enough of a client
    assert order["number"] == "PC-2026-000123"
    [(service, method, data)] = asked
    assert (service, method) == ("cart", "paid_orders")
    jsonschema.validate(data, contract["request"])
    assert contract["anonymous"]
