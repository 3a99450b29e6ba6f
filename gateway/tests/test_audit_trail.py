"""One audit trail made of those of all services."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_fakes import AUDIT_ENTRY, Check, FakeRpc, Send

from gateway.services import SERVICES
from kernel.errors import Kind, Refusal


def entry(number: int) -> dict[str, Any]:
    return {**AUDIT_ENTRY, "id": f"aud_{number}"}


@pytest.fixture(autouse=True)
def trails(rpc: FakeRpc) -> None:
    """Line n is in one service after the other."""

    def listed(service: int) -> Any:
        def page(data: dict[str, Any]) -> dict[str, Any]:
            before = int(data.get("before", "aud_99")[4:])
            mine = [n for n in range(30, 10, -1) if n % len(SERVICES) == service and n < before]
            return {"items": [entry(n) for n in mine[: data["limit"]]], "more": len(mine) > data["limit"]}

        return page

    for number, service in enumerate(SERVICES):
        rpc.replies[f"{service}.list_audit"] = listed(number)


@pytest.mark.parametrize("path", ["/v1/organization/audit", "/v1/admin/audit"])
@pytest.mark.parametrize("limit", [1, 3, 7, 20, 100])
def test_lines_of_all_services_newest_first(path: str, limit: int, send: Send, documented: Check) -> None:
    found: list[str] = []
    query = f"?limit={limit}"
    while query:
        answer = send("GET", path + query)
        documented("GET", path + query, answer)
        found += [item["id"] for item in answer.json["items"]]
        query = f"?limit={limit}&cursor={answer.json['next']}" if answer.json["next"] else ""
    assert found == [f"aud_{number}" for number in range(30, 10, -1)]


def test_what_is_wanted_goes_to_every_service(send: Send, rpc: FakeRpc) -> None:
    answer = send(
        "GET", "/v1/admin/audit?subject_id=ord_1&organization_id=org_acme&actor_id=usr_ada&action=a.b&limit=5"
    )
    assert answer.status_code == 200
    wanted = {
        "subject_id": "ord_1", "organization_id": "org_acme", "actor_id": "usr_ada", "action": "a.b", "limit": 5,
    }  # fmt: skip
    assert [call.data for call in rpc.calls if call.method.endswith(".list_audit")] == [wanted] * len(SERVICES)


def test_an_organization_cannot_name_another(send: Send) -> None:
    assert send("GET", "/v1/organization/audit?organization_id=org_bit").status_code == 422


def test_a_service_that_refuses_or_is_away_is_the_answer(send: Send, rpc: FakeRpc) -> None:
    rpc.replies["cart.list_audit"] = Refusal(Kind.FORBIDDEN, "forbidden", "This needs the role admin.")
    assert send("GET", "/v1/organization/audit").status_code == 403
    del rpc.replies["cart.list_audit"]
    assert send("GET", "/v1/organization/audit").status_code == 503
