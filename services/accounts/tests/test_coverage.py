"""Which support a deployment has."""

from datetime import date, timedelta

import pytest

from accounts.domain.deployments import State
from accounts.messages import OrderPaid
from accounts.use_cases.bind_order import bind_orders
from accounts.use_cases.get_coverage import get_coverage
from accounts.use_cases.register_deployment import register_deployment
from accounts.use_cases.register_management import register_management
from chassis.testing import make_event
from kernel.errors import Refusal


def _line(line_id: str, kind: str, deployment_id: str) -> dict[str, object]:
    return {
        "id": line_id, "sku": kind.upper(), "name": f"A {kind}", "kind": kind, "quantity": 1,
        "deployment_id": deployment_id,
    }  # fmt: skip


def test_a_deployment_is_covered_by_the_contracts_that_are_bound_to_it(world_on_both) -> None:
    world = world_on_both
    for deployment_id, state in (("14181336", State.ACTIVE), ("20000000", State.RETIRED)):
        register_deployment(
            world.app, id=deployment_id, organization_id="org_acme", name="Berlin", registered_on=date(2017, 6, 15),
            state=state,
        )  # fmt: skip
    lines = [_line("oln_1", "contract", "14181336"), _line("oln_2", "licence", "14181336")]
    order = {"order_id": "ord_1", "organization": {"id": "org_acme"}, "lines": lines}
    bind_orders(world.app, [make_event("cart.order_paid.v1", OrderPaid().load(order), consumer="accounts")])

    covered = get_coverage(world.app, world.buyer, id="14181336")

    assert (covered["deployment"]["id"], covered["deployment"]["state"]) == ("14181336", "active")
    today = world.clock.now().date()
    assert covered["contracts"] == [
        {
            "sku": "CONTRACT", "name": "A contract", "bound_at": world.clock.now(), "starts_on": today,
            "ends_on": today.replace(year=today.year + 1) - timedelta(days=1),
        }
    ]  # fmt: skip
    retired = get_coverage(world.app, world.buyer, id="20000000")
    assert (retired["deployment"]["state"], retired["contracts"]) == ("retired", [])
    for caller, deployment_id in ((world.stranger, "14181336"), (world.buyer, "999")):
        with pytest.raises(Refusal, match="not_found"):
            get_coverage(world.app, caller, id=deployment_id)


def test_a_manager_may_name_the_deployments_of_whom_it_manages_and_never_the_other_way_round(world) -> None:
    for deployment_id, owner in (("14181336", "org_acme"), ("30550007", "org_globex")):
        register_deployment(
            world.app, id=deployment_id, organization_id=owner, name=deployment_id, registered_on=date(2017, 6, 15)
        )
    register_management(world.app, manager_id="org_acme", managed_id="org_globex")

    covered = get_coverage(world.app, world.buyer, id="30550007")

    assert covered["deployment"]["owner"]["id"] == "org_globex"
    with pytest.raises(Refusal, match="not_found"):
        get_coverage(world.app, world.stranger, id="14181336")
