"""The address book: what an address must hold where, whose it is, and which one is the default."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from accounts import storage
from accounts.messages import NewAddress, UpdateAddress
from accounts.use_cases.billing_facts import billing_facts
from accounts.use_cases.create_address import create_address
from accounts.use_cases.delete_address import delete_address
from accounts.use_cases.get_address import get_address
from accounts.use_cases.list_addresses import list_addresses
from accounts.use_cases.register_address import register_address
from accounts.use_cases.set_tax_certificate import set_tax_certificate
from accounts.use_cases.update_address import update_address
from chassis.audit_trail import list_audit
from kernel.errors import Kind, Refusal

ALBANY = {
    "name": "Alan Abel", "address": "1 Main Street", "city": "Albany", "state": "NY", "zip": "12207", "country": "US",
}  # fmt: skip
BERLIN = {"name": "Ada", "address": "Unter den Linden 1", "city": "Berlin", "zip": "10117", "country": "DE"}


def _create(world, address, caller=None, **changes):
    return create_address(world.app, caller or world.buyer, **NewAddress().load({**address, **changes}))


def _update(world, address_id, **changes):
    return update_address(world.app, world.buyer, **UpdateAddress().load({"id": address_id, **changes}))


def _all(world, caller=None):
    return list_addresses(world.app, caller or world.buyer, limit=100, cursor=None)["items"]


def _wrong(world, address, **changes):
    with pytest.raises(Refusal) as refused:
        _create(world, address, **changes)
    assert (refused.value.kind, refused.value.code) == (Kind.INVALID, "address_invalid")
    return [error["field"] for error in refused.value.errors]


@pytest.mark.parametrize(
    ("address", "changes", "kept"),
    [
        (ALBANY, {"state": "new york"}, {"state": "NY"}),
        (ALBANY, {"zip": "12207-1234", "country": "us"}, {"zip": "12207-1234", "country": "US"}),
        (ALBANY, {"state": "ontario", "zip": "k1a 0b1", "country": "CA"}, {"state": "ON", "zip": "K1A 0B1"}),
        (ALBANY, {"state": None, "zip": "sw1a 1aa", "country": "GB"}, {"state": None, "zip": "SW1A 1AA"}),
        (ALBANY, {"state": "Kowloon", "zip": None, "country": "HK"}, {"state": "Kowloon", "zip": None}),
        (ALBANY, {"state": "Tokyo", "zip": "100-0001", "country": "JP"}, {"state": "東京都"}),
        (BERLIN, {}, {"state": None, "zip": "10117", "company": None, "address_2": None}),
        (BERLIN, {"country": "IE", "zip": None}, {"country": "IE", "zip": None}),
        (BERLIN, {"country": "SG", "city": None, "zip": "018956"}, {"country": "SG", "city": None}),
    ],
)
def test_an_address_is_kept_as_its_country_writes_it(world, address, changes, kept) -> None:
    made = _create(world, address, **changes)
    assert {name: made[name] for name in kept} == kept
    assert get_address(world.app, world.buyer, id=made["id"]) == made


@pytest.mark.parametrize(
    ("address", "changes", "fields"),
    [
        (ALBANY, {"state": None, "zip": None}, ["state", "zip"]),
        (ALBANY, {"state": "Bavaria"}, ["state"]),
        (ALBANY, {"zip": "1220"}, ["zip"]),
        (ALBANY, {"zip": "90210"}, ["zip"]),  # of another state
        (ALBANY, {"zip": "12207\u0661"}, ["zip"]),
        (BERLIN, {"zip": "1011"}, ["zip"]),
        (BERLIN, {"state": "Berlin"}, ["state"]),
        (BERLIN, {"city": None}, ["city"]),
        (BERLIN, {"country": "HK", "zip": "10117"}, ["zip", "state"]),
        (BERLIN, {"country": "ZZ"}, ["country"]),
        (BERLIN, {"country": "XX"}, ["country"]),
        (BERLIN, {"country": "../"[:2]}, ["country"]),
        (BERLIN, {"country": "U"}, ["country"]),
    ],
)
def test_what_a_country_does_not_have_is_refused_by_name(world, address, changes, fields) -> None:
    assert sorted(_wrong(world, address, **changes)) == sorted(fields)
    assert _all(world) == []


def test_the_first_address_is_the_default_and_another_takes_its_place(world_on_both) -> None:
    world = world_on_both
    first, second = _create(world, ALBANY), _create(world, BERLIN)
    assert (first["default_billing"], first["default_shipping"]) == (True, True)
    assert (second["default_billing"], second["default_shipping"]) == (False, False)
    third = _create(world, BERLIN, default_shipping=True)
    assert _update(world, second["id"], default_billing=True)["default_billing"]
    assert [(item["id"], item["default_billing"], item["default_shipping"]) for item in _all(world)] == [
        (third["id"], False, True), (second["id"], True, False), (first["id"], False, False),
    ]  # fmt: skip


def test_there_is_one_default_however_many_ask_at_once(world_on_both) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: _create(world_on_both, BERLIN, default_billing=True), range(8)))
    assert sum(item["default_billing"] for item in _all(world_on_both)) == 1


def test_two_defaults_are_refused_by_the_database(world_on_both) -> None:
    database = world_on_both.app.database
    _create(world_on_both, ALBANY)
    second = _create(world_on_both, BERLIN)
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as transaction:
        storage.change_address(transaction, second["id"], {"default_billing": True})


def test_a_change_is_checked_as_a_whole(world_on_both) -> None:
    world = world_on_both
    made = _create(world, ALBANY)
    with pytest.raises(Refusal, match="address_invalid"):
        _update(world, made["id"], country="DE")
    moved = _update(world, made["id"], country="DE", state=None, zip="10117", city="Berlin", company="Acme GmbH")
    assert moved == {**made, "country": "DE", "state": None, "zip": "10117", "city": "Berlin", "company": "Acme GmbH"}
    assert _all(world) == [moved]


def test_a_foreign_address_is_unknown_whatever_is_tried(world) -> None:
    made = _create(world, ALBANY)
    attempts = [
        lambda address_id: get_address(world.app, world.stranger, id=address_id),
        lambda address_id: update_address(world.app, world.stranger, id=address_id, name="Eve"),
        lambda address_id: delete_address(world.app, world.stranger, id=address_id),
        lambda address_id: billing_facts(world.app, world.stranger, address_id=address_id),
    ]
    for attempt in attempts:
        answers = []
        for address_id in (made["id"], "adr_none"):
            with pytest.raises(Refusal) as refused:
                attempt(address_id)
            answers.append(refused.value.as_dict())
        assert answers[0] == answers[1]
        assert answers[0]["code"] == "not_found"
    assert _all(world, world.stranger) == []
    assert _all(world) == [made]


def test_deleted_is_gone(world_on_both) -> None:
    made = _create(world_on_both, ALBANY)
    delete_address(world_on_both.app, world_on_both.buyer, id=made["id"])
    assert _all(world_on_both) == []
    with pytest.raises(Refusal, match="not_found"):
        delete_address(world_on_both.app, world_on_both.buyer, id=made["id"])


def test_who_may(world) -> None:
    viewer, clerk = world.caller("usr_vic", "viewer"), world.caller("usr_tim", "ticket")
    made = _create(world, ALBANY, world.admin)
    assert _all(world, viewer) == [made]
    for caller, attempt in (
        (clerk, lambda caller: _all(world, caller)),
        (clerk, lambda caller: get_address(world.app, caller, id=made["id"])),
        (viewer, lambda caller: _create(world, BERLIN, caller)),
        (viewer, lambda caller: update_address(world.app, caller, id=made["id"], name="Eve")),
        (viewer, lambda caller: delete_address(world.app, caller, id=made["id"])),
        (world.admin, lambda caller: _exempt(world, caller, "NY-1187")),
        (world.caller("usr_sue", "support"), lambda caller: _exempt(world, caller, "NY-1187")),
    ):
        with pytest.raises(Refusal, match="forbidden"):
            attempt(caller)


def _exempt(world, caller, certificate, organization_id: str = "org_acme"):
    return set_tax_certificate(world.app, caller, organization_id=organization_id, certificate=certificate)


def test_what_an_order_is_billed_by(world_on_both) -> None:
    world = world_on_both
    facts = billing_facts(world.app, world.buyer, address_id=None)
    assert facts["address"] is None
    assert facts["organization"] == {
        "id": "org_acme", "name": "Acme", "number": "1003", "time_zone": "UTC", "language": "en",
        "tax_exempt": False, "tax_certificate": None,
    }  # fmt: skip
    first, second = _create(world, ALBANY), _create(world, BERLIN)
    clerk = world.caller("usr_fay", "finance", "org_platform")
    assert _exempt(world, clerk, "NY-1187")["tax_exempt"]
    facts = billing_facts(world.app, world.buyer, address_id=None)
    assert facts["address"] == first
    assert (facts["organization"]["tax_exempt"], facts["organization"]["tax_certificate"]) == (True, "NY-1187")
    assert billing_facts(world.app, world.buyer, address_id=second["id"])["address"] == second
    assert not _exempt(world, clerk, None)["tax_exempt"]
    with pytest.raises(Refusal, match="not_found"):
        _exempt(world, clerk, "NY-1187", "org_none")


def test_a_registered_address_does_not_come_back_after_it_was_changed(world) -> None:
    for _ in range(2):
        register_address(world.app, id="adr_acme", organization_id="org_acme", address=ALBANY)
    _update(world, "adr_acme", name="Alan")
    register_address(world.app, id="adr_acme", organization_id="org_acme", address=ALBANY)
    assert [(item["id"], item["name"]) for item in _all(world)] == [("adr_acme", "Alan")]
    with pytest.raises(Refusal, match="not_found"):
        register_address(world.app, id="adr_none", organization_id="org_none", address=ALBANY)


def test_who_changed_what_is_kept(world) -> None:
    made = _create(world, ALBANY)
    _update(world, made["id"], name="Alan", company="Acme")
    delete_address(world.app, world.buyer, id=made["id"])
    _exempt(world, world.caller("usr_fay", "finance", "org_platform"), "NY-1187")
    with world.app.database.reading() as reader:
        lines = list_audit(reader, world.admin, limit=10)["items"]
    assert [(line["action"], line["actor_id"], line["details"]) for line in lines] == [
        ("organization.tax_certificate_set", "usr_fay", {"certificate": "NY-1187"}),
        ("address.deleted", "usr_ada", {}),
        ("address.changed", "usr_ada", {"fields": ["company", "name"]}),
        ("address.created", "usr_ada", {}),
    ]
