"""Managing other organisations: one way, one step, and no look at anybody else."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa

from accounts import storage
from accounts.domain.deployments import State
from accounts.messages import RPC_EXAMPLES
from accounts.use_cases.add_deployment import add_deployment
from accounts.use_cases.bind_order import bind_orders
from accounts.use_cases.check_deployments import check_deployments
from accounts.use_cases.find_organization import find_organization
from accounts.use_cases.get_deployment import get_deployment
from accounts.use_cases.list_managed import list_managed
from accounts.use_cases.manage_organization import end_management, manage_organization
from accounts.use_cases.register_deployment import register_deployment
from accounts.use_cases.register_management import register_management
from accounts.use_cases.register_organization import register_organization
from accounts.use_cases.retire_deployment import retire_deployment
from accounts.use_cases.search_deployments import search_deployments
from accounts.use_cases.search_organizations import search_organizations
from chassis.testing import make_event
from kernel.errors import Refusal


def _deployment(world, deployment_id, organization_id, name, **more):
    register_deployment(
        world.app, id=deployment_id, organization_id=organization_id, name=name, registered_on=date(2020, 1, 2), **more
    )


@pytest.fixture
def stocked(world_on_both):
    """Acme may come to manage Globex and Initech; each has a deployment."""
    world = world_on_both
    register_organization(world.app, id="org_initech", number=1005, name="Initech")
    _deployment(world, "10000001", "org_acme", "Acme plant")
    _deployment(world, "20000002", "org_globex", "Berlin HQ")
    _deployment(world, "30000003", "org_initech", "berlin-hq")
    return world


@pytest.fixture
def support(stocked):
    return stocked.caller("usr_sue", "support", "org_platform")


@pytest.fixture
def managing(stocked, support):
    for managed in ("org_globex", "org_initech"):
        manage_organization(stocked.app, support, manager_id="org_acme", managed_id=managed)
    return stocked


def _seen(world, caller):
    found = search_deployments(world.app, caller, q="", limit=100, cursor=None)["items"]
    return {item["id"]: item["similar_to"] for item in found}


def _initech(world):
    return world.caller("usr_ian", "buyer", "org_initech")


def _bind(world, deployment_id, order="ord_1"):
    line = {
        "id": f"lin_{order}", "sku": "CONTRACT", "name": "Contract", "kind": "contract", "quantity": 1,
        "deployment_id": deployment_id, "term_months": 12,
    }  # fmt: skip
    data = {"order_id": order, "organization": {"id": "org_acme"}, "lines": [line]}
    bind_orders(world.app, [make_event("cart.order_paid.v1", data)])


def test_a_manager_sees_the_deployments_of_whom_it_manages_and_may_choose_them(managing) -> None:
    world = managing
    assert set(_seen(world, world.buyer)) == {"10000001", "20000002", "30000003"}
    found = get_deployment(world.app, world.buyer, id="20000002")
    assert (found["owner"], found["entitlements"]) == ({"id": "org_globex", "name": "Globex"}, [])
    checked = check_deployments(world.app, world.buyer, ids=["20000002", "30000003", "99"])["items"]
    assert [item["id"] for item in checked] == ["20000002", "30000003"]
    managed = list_managed(world.app, world.buyer, limit=10, cursor=None)["items"]
    assert {item["name"] for item in managed} == {"Globex", "Initech"}


def test_whoever_is_managed_sees_nothing_of_its_manager_or_of_others(managing) -> None:
    world = managing
    assert _seen(world, world.stranger) == {"20000002": []}  # not even that another customer has a look-alike
    assert _seen(world, _initech(world)) == {"30000003": []}
    for foreign in ("10000001", "30000003"):
        with pytest.raises(Refusal, match="not_found"):
            get_deployment(world.app, world.stranger, id=foreign)
    assert check_deployments(world.app, world.stranger, ids=["10000001", "30000003"])["items"] == []
    assert list_managed(world.app, world.stranger, limit=10, cursor=None)["items"] == []


def test_look_alikes_of_different_customers_are_pointed_out_to_who_sees_both(managing) -> None:
    world = managing
    assert _seen(world, world.buyer)["20000002"] == ["30000003"]  # found when the management began
    _deployment(world, "30000030", "org_initech", "Acme-plant")  # found when it is registered
    assert _seen(world, world.buyer)["10000001"] == ["30000030"]
    _deployment(world, "20000003", "org_globex", "Other")
    assert "20000003" in _seen(world, world.buyer)["20000002"]
    assert _seen(world, world.stranger) == {"20000002": ["20000003"], "20000003": ["20000002"]}


def test_look_alikes_registered_at_once_under_one_manager_see_each_other(managing) -> None:
    world = managing
    wanted = [(str(41181330 + number), ("org_globex", "org_initech")[number % 2]) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda each: _deployment(world, each[0], each[1], f"Site {each[0]}"), wanted))
    seen = _seen(world, world.buyer)
    for deployment_id, _ in wanted:
        assert seen[deployment_id] == [other for other, _ in wanted if other != deployment_id]


def test_it_ends_at_once_and_what_was_paid_for_is_bound_all_the_same(managing, support) -> None:
    world = managing
    end_management(world.app, support, manager_id="org_acme", managed_id="org_globex")
    end_management(world.app, support, manager_id="org_acme", managed_id="org_globex")
    assert set(_seen(world, world.buyer)) == {"10000001", "30000003"}
    _bind(world, "20000002")
    [bound] = get_deployment(world.app, world.stranger, id="20000002")["entitlements"]
    assert (bound["order_id"], bound["kind"], bound["sku"]) == ("ord_1", "contract", "CONTRACT")
    assert set(bound) == set(RPC_EXAMPLES["get_deployment"]["reply"]["entitlements"][0])
    manage_organization(world.app, support, manager_id="org_acme", managed_id="org_globex")
    assert "20000002" in _seen(world, world.buyer)


def test_a_contract_for_somebody_who_was_never_managed_is_not_bound(stocked) -> None:
    with pytest.raises(Refusal, match="not_found"):
        _bind(stocked, "20000002")
    assert get_deployment(stocked.app, stocked.stranger, id="20000002")["entitlements"] == []


def test_what_is_bound_to_a_managed_deployment_is_seen_by_both_and_stays(managing) -> None:
    world = managing
    _bind(world, "20000002")
    for caller in (world.buyer, world.stranger):
        assert len(get_deployment(world.app, caller, id="20000002")["entitlements"]) == 1
    with pytest.raises(sa.exc.IntegrityError), world.app.database.transaction() as transaction:
        transaction.execute(sa.update(storage.ENTITLEMENT).values(deployment_id="10000001"))
    with pytest.raises(sa.exc.IntegrityError), world.app.database.transaction() as transaction:
        transaction.execute(sa.delete(storage.ENTITLEMENT))


def test_it_goes_one_way_and_one_step(managing, support) -> None:
    world = managing
    register_organization(world.app, id="org_top", number=1009, name="Top")
    manage_organization(world.app, support, manager_id="org_top", managed_id="org_acme")
    assert set(_seen(world, world.caller("usr_top", "admin", "org_top"))) == {"10000001"}
    for manager, managed, code in (
        ("org_globex", "org_acme", "cannot_manage"),
        ("org_acme", "org_acme", "cannot_manage"),
        ("org_acme", "org_platform", "cannot_manage"),
        ("org_platform", "org_acme", "cannot_manage"),
        ("org_acme", "org_none", "not_found"),
        ("org_none", "org_acme", "not_found"),
    ):
        with pytest.raises(Refusal, match=code):
            manage_organization(world.app, support, manager_id=manager, managed_id=managed)


def test_begun_at_once_by_two_clerks_it_is_one(stocked, support) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda _: manage_organization(
                    stocked.app, support, manager_id="org_acme", managed_id="org_globex"
                ),
                range(4),
            )
        )  # fmt: skip
    register_management(stocked.app, manager_id="org_acme", managed_id="org_globex")
    with stocked.app.database.reading() as reader:
        assert len(reader.all(sa.select(storage.MANAGEMENT))) == 1


def test_only_staff_may(managing) -> None:
    world = managing
    for caller in (world.admin, world.caller("usr_fay", "finance", "org_platform")):
        for attempt in (
            lambda caller: manage_organization(world.app, caller, manager_id="org_acme", managed_id="org_globex"),
            lambda caller: end_management(world.app, caller, manager_id="org_acme", managed_id="org_globex"),
            lambda caller: add_deployment(world.app, caller, organization_id="org_acme", id="5", name="Five"),
        ):
            with pytest.raises(Refusal, match="forbidden"):
                attempt(caller)
    with pytest.raises(Refusal, match="forbidden"):
        search_organizations(world.app, world.admin, q="", limit=10, cursor=None)


def test_staff_find_an_organization_by_its_id_only(stocked, support) -> None:
    assert find_organization(stocked.app, support, id="org_initech")["name"] == "Initech"
    for caller, unknown, code in ((support, "Initech", "not_found"), (stocked.admin, "org_initech", "forbidden")):
        with pytest.raises(Refusal) as refused:
            find_organization(stocked.app, caller, id=unknown)
        assert refused.value.code == code


def test_staff_find_customers_and_register_their_deployments(stocked, support) -> None:
    def found(q):
        return [item["id"] for item in search_organizations(stocked.app, support, q=q, limit=10, cursor=None)["items"]]

    assert found("1003") == found("ACM") == found("org_acme") == ["org_acme"]
    assert found("%") == []
    assert len(found("")) == 4
    added = add_deployment(stocked.app, support, organization_id="org_acme", id="10000002", name="Acme plant 2")
    assert (added["registered_on"].isoformat(), added["similar_to"]) == ("2026-11-22", ["10000001"])
    with pytest.raises(Refusal, match="deployment_taken"):
        add_deployment(stocked.app, support, organization_id="org_globex", id="10000002", name="Theirs")


def test_an_admin_retires_a_deployment_of_the_own_organisation(managing) -> None:
    world = managing
    _bind(world, "10000001")
    for _ in range(2):
        assert retire_deployment(world.app, world.admin, id="10000001")["state"] == State.RETIRED
    assert check_deployments(world.app, world.buyer, ids=["10000001"])["items"][0]["state"] == State.RETIRED
    assert len(get_deployment(world.app, world.buyer, id="10000001")["entitlements"]) == 1
    with pytest.raises(Refusal, match="forbidden"):
        retire_deployment(world.app, world.buyer, id="10000001")
    for foreign in ("20000002", "99"):  # a manager looks after them, and does not own them
        with pytest.raises(Refusal, match="not_found"):
            retire_deployment(world.app, world.admin, id=foreign)
