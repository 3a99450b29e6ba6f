"""The entrypoints, the schema, the settings: what holds the service together."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from chassis.contracts import describe
from chassis.messages import dump_checked, load_request
from chassis.persistence.migrations import migrate
from chassis.sealing import new_key
from chassis.service import Call
from chassis.settings import Environment, SettingsError
from chassis.testing import identity
from credits import settings
from credits.messages import EVENTS, RPC_EXAMPLES
from credits.service import CreditsService
from credits.storage import METADATA
from kernel.errors import Refusal

KEYS = ("CREDITS_SEALING_KEY", "NOTIFICATIONS_SEALING_PUBLIC_KEY", "CREDITS_CODE_PEPPER")

SPEND = {"organization_id": "org_acme", "credits": 1, "cause": "ticket-1", "memo": "Ticket 1", "idempotency_key": "k"}
GRANT = {"organization_id": "org_acme", "credits": 1, "reason": "Sorry", "idempotency_key": "k"}


@pytest.fixture
def call(desk):
    """Call an RPC method as the chassis does: checked on the way in and on the way out."""
    service = CreditsService()
    service.app = desk.app

    def ask(method: str, caller, **request):
        entrypoint = next(iter(getattr(CreditsService, method).nameko_entrypoints))
        data = load_request(entrypoint.request, request)
        return dump_checked(entrypoint.reply, getattr(service, method)(Call(data, caller, None)))

    ask.service = service
    return ask


def test_every_method_and_event_fits_its_example():
    files = describe(CreditsService, EVENTS, RPC_EXAMPLES)
    methods = {path.split("/")[2].removesuffix(".json") for path in files if "/rpc/" in path}
    assert methods == set(RPC_EXAMPLES)
    assert sum("/events/" in path for path in files) == 2 * len(EVENTS)


def test_the_whole_way_through_the_entrypoints(call, desk, line):
    event = desk.order_paid(line("lin_a"), line("lin_b", credits=300, to="support_card"))
    call.service.on_order_paid([event])
    [issued] = desk.events("credits.card_issued.v1")
    bearer = {"number": issued["number"],
              "sealed_code": desk.gateway.seal(desk.mails.open(issued["sealed_code"])),
              "client_address": "192.0.2.7"}  # fmt: skip
    assert call("get_balance", desk.acme)["balance"] == 120
    assert call("preview_card", desk.bolt, **bearer)["expires_at"] == "2027-11-22T12:00:00.000Z"
    claimed = call("claim_card", desk.bolt, idempotency_key="k", **bearer)
    assert claimed["balance"] == 300
    assert call("claim_card", desk.bolt, idempotency_key="k", **bearer) == {**claimed, "replayed": True}
    assert call("get_card", desk.bolt, id=issued["card_id"]) == claimed["card"]
    assert call("list_cards", desk.bolt, role="claimant")["items"] == [claimed["card"]]
    assert [entry["amount"] for entry in call("list_entries", desk.bolt)["items"]] == [300]
    assert call("cards_of_orders", desk.acme, order_ids=["ord_1"])["items"][0]["cards"][0]["state"] == "claimed"
    assert call("spend", desk.support, idempotency_key="s", organization_id="org_bolt", credits=30, cause="t1",
                memo="Ticket 1")["balance"] == 270  # fmt: skip
    assert call("take_back_order", identity("finance"), refund_id="rfd_1", order_id="ord_1",
                claimed="refund_anyway")["taken_back"] == 120  # fmt: skip
    assert call("reconcile", identity("support")) == {
        "breaks": [],
        "totals": {
            "brought": 420, "on_organizations": 270, "on_cards": 0, "spent": 30, "expired": 0, "taken_back": 120,
            "given": 0, "taken_off": 0, "on_hold": 0,
        },
    }  # fmt: skip
    recalled, _, _ = desk.buy_card(order_id="ord_2")
    assert call("recall_card", desk.acme, idempotency_key="r", card_id=recalled)["card"]["state"] == "recalled"
    desk.buy_card(order_id="ord_3")
    desk.clock.advance(days=365)
    call.service.expire_cards()
    assert call("reconcile", identity("support"))["totals"]["expired"] == 300


@pytest.mark.parametrize("role", ["ticket", "viewer", "buyer", "admin"])
def test_reconciliation_is_for_staff(call, role):
    with pytest.raises(Refusal) as refused:
        call("reconcile", identity(role))
    assert refused.value.code == "forbidden"


@pytest.mark.parametrize(
    ("method", "request_data", "field"),
    [
        ("get_balance", {"organization_id": "org_bolt"}, "organization_id"),
        ("list_entries", {"limit": 0}, "limit"),
        ("list_entries", {"limit": 101}, "limit"),
        ("list_entries", {"limit": "5"}, "limit"),
        ("list_cards", {}, "role"),
        ("list_cards", {"role": "owner"}, "role"),
        ("get_card", {"id": "a\nb"}, "id"),
        ("cards_of_orders", {"order_ids": ["o"] * 101}, "order_ids"),
        ("preview_card", {"client_address": "192.0.2.7", "number": "SCC", "sealed_code": 5}, "sealed_code"),
        (
            "preview_card",
            {"client_address": "192.0.2.7", "number": "SCC", "code": "in clear", "sealed_code": ""},
            "code",
        ),
        ("claim_card", {"client_address": "192.0.2.7", "number": "SCC", "sealed_code": ""}, "idempotency_key"),
        ("claim_card", {"number": "SCC", "sealed_code": "", "idempotency_key": "k"}, "client_address"),
        (
            "claim_card",
            {"client_address": "192.0.2.7", "number": "SCC", "sealed_code": "", "idempotency_key": ""},
            "idempotency_key",
        ),
        (
            "claim_card",
            {"client_address": "192.0.2.7", "number": "SCC", "sealed_code": "", "idempotency_key": "k" * 256},
            "idempotency_key",
        ),
        (
            "claim_card",
            {"client_address": "192.0.2.7", "number": "SCC", "sealed_code": "", "idempotency_key": "k\n"},
            "idempotency_key",
        ),
        ("recall_card", {"card_id": "scc_1"}, "idempotency_key"),
        ("recall_card", {"card_id": "", "idempotency_key": "k"}, "card_id"),
        ("spend", {**SPEND, "credits": 0}, "credits"),
        ("spend", {**SPEND, "credits": -5}, "credits"),
        ("spend", {**SPEND, "credits": 1.5}, "credits"),
        ("spend", {**SPEND, "credits": 10**9 + 1}, "credits"),
        ("spend", {**SPEND, "cause": ""}, "cause"),
        ("spend", {**SPEND, "balance": 5}, "balance"),
        ("grant_credits", {**GRANT, "credits": 0}, "credits"),
        ("grant_credits", {**GRANT, "reason": ""}, "reason"),
        ("grant_credits", {**GRANT, "expires_at": "tomorrow"}, "expires_at"),
        ("adjust_credits", {**GRANT, "credits": 0}, "credits"),
        ("adjust_credits", {**GRANT, "credits": -(10**9) - 1}, "credits"),
        ("take_back_order", {"refund_id": "r", "order_id": "o", "claimed": "maybe"}, "claimed"),
    ],
)
def test_a_malformed_request_names_the_field(call, desk, method, request_data, field):
    with pytest.raises(Refusal) as refused:
        call(method, desk.acme, **request_data)
    assert refused.value.code == "validation_failed"
    assert [error["field"] for error in refused.value.errors] == [field]
    assert "in clear" not in str(refused.value.as_dict())


def test_the_migrations_make_what_the_code_expects(desk):
    with desk.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    assert migrate(desk.database, "credits") is False


def environment(**changes: str | None) -> Environment:
    values = {**{name: new_key() for name in KEYS}, **changes}
    return Environment({name: value for name, value in values.items() if value is not None})


def test_settings():
    assert settings.read(environment()).card_validity == timedelta(days=365)
    assert settings.read(environment(CREDITS_CARD_VALID_DAYS="30")).card_validity == timedelta(days=30)
    assert settings.read(environment(CREDITS_CARD_VALID_DAYS="0")).card_validity is None


def test_validity_of_credits_whose_product_does_not_say_it():
    assert settings.read(environment()).credits_valid_days == 0
    assert settings.read(environment(CREDITS_VALID_DAYS="365")).credits_valid_days == 365


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("value", [None, "short", "0" * 64])
def test_a_missing_or_default_key_stops_the_start(name, value):
    with pytest.raises(SettingsError, match=name):
        settings.read(environment(**{name: value}))


def test_settings_do_not_show_their_secrets():
    key, pepper = new_key(), new_key()
    shown = repr(settings.read(environment(CREDITS_SEALING_KEY=key, CREDITS_CODE_PEPPER=pepper)))
    assert key not in shown
    assert repr(bytes.fromhex(pepper)) not in shown
