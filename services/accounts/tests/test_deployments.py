"""Finding deployments, and seeing no one else's."""

from datetime import date

import pytest

from accounts.domain.deployments import State
from accounts.use_cases.check_deployments import check_deployments
from accounts.use_cases.get_deployment import get_deployment
from accounts.use_cases.register_deployment import register_deployment
from accounts.use_cases.search_deployments import search_deployments
from kernel.errors import Kind, Refusal

ACME = {
    "14181336": "Berlin HQ",
    "14181337": "Lisbon",
    "20141813": "berlin-hq",
    "30000000": "100% uptime",
    "40000000": "100 days",
    "50000000": "snow_man",
    "60000000": "snowman",
    "70000000": "STRASSE 7",
    "80000000": "Ärzte Köln",
    "90000000": r"back\slash/slash",
}


@pytest.fixture
def stocked(world_on_both):
    for deployment_id, name in ACME.items():
        register_deployment(
            world_on_both.app, id=deployment_id, organization_id="org_acme", name=name,
            registered_on=date(2017, 6, 15),
        )  # fmt: skip
    register_deployment(
        world_on_both.app, id="14181338", organization_id="org_globex", name="Berlin HQ",
        registered_on=date(2020, 2, 29), state=State.RETIRED,
    )  # fmt: skip
    return world_on_both


def _found(world, q: str, caller=None) -> list[str]:
    page = search_deployments(world.app, caller or world.buyer, q=q, limit=100, cursor=None)
    assert page["next"] is None
    return [item["id"] for item in page["items"]]


@pytest.mark.parametrize(
    ("q", "ids"),
    [
        ("14181336", ["14181336"]),  # the whole id
        ("1418", ["14181336", "14181337"]),  # the beginning of an id, never its middle
        ("1813", []),
        ("berlin", ["14181336", "20141813"]),  # a part of a name in any case
        ("ERLIN H", ["14181336"]),
        ("100%", ["30000000"]),  # wildcards are plain characters
        ("%", ["30000000"]),
        ("_", ["50000000"]),
        ("snow_man", ["50000000"]),
        ("\\", ["90000000"]),
        ("h/s", ["90000000"]),
        ("1418133_", []),
        ("straße", ["70000000"]),  # beyond ASCII
        ("äRZTE", ["80000000"]),
        ("A\u0308rzte", ["80000000"]),  # composed differently
        ("7", ["70000000"]),
        ("nothing like it", []),
        ("'; DROP TABLE deployment; --", []),
        ("", sorted(ACME)),
    ],
)
def test_search(stocked, q: str, ids: list[str]) -> None:
    assert _found(stocked, q) == ids


def test_search_sees_the_own_organisation_only(stocked) -> None:
    assert _found(stocked, "berlin", stocked.stranger) == ["14181338"]
    assert _found(stocked, "", stocked.caller("usr_sue", "support", "org_platform")) == []


def test_pages_follow_one_another_by_id(stocked) -> None:
    seen: list[str] = []
    cursor, pages = None, 0
    while True:
        page = search_deployments(stocked.app, stocked.buyer, q="", limit=4, cursor=cursor)
        seen += [item["id"] for item in page["items"]]
        pages += 1
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == sorted(ACME)
    assert pages == 3


def test_a_made_up_cursor_is_refused(stocked) -> None:
    with pytest.raises(Refusal, match="invalid_cursor"):
        search_deployments(stocked.app, stocked.buyer, q="", limit=4, cursor="é")


def test_a_deployment_shows_its_owner_its_date_and_its_look_alikes(stocked) -> None:
    assert get_deployment(stocked.app, stocked.buyer, id="14181336") == {
        "id": "14181336",
        "name": "Berlin HQ",
        "registered_on": date(2017, 6, 15),
        "owner": {"id": "org_acme", "name": "Acme"},
        "state": "active",
        "similar_to": ["14181337", "20141813"],  # by id, by name; another organisation's never
        "entitlements": [],
    }
    assert get_deployment(stocked.app, stocked.buyer, id="20141813")["similar_to"] == ["14181336"]
    assert get_deployment(stocked.app, stocked.stranger, id="14181338")["similar_to"] == []
    assert get_deployment(stocked.app, stocked.stranger, id="14181338")["state"] == "retired"


def test_somebody_elses_deployment_is_answered_like_none_at_all(stocked) -> None:
    answers = []
    for deployment_id in ("14181338", "99999999", "no id at all"):
        with pytest.raises(Refusal) as refused:
            get_deployment(stocked.app, stocked.buyer, id=deployment_id)
        answers.append(refused.value.as_dict())
    assert answers[0]["kind"] == Kind.NOT_FOUND
    assert answers[0] == answers[1] == answers[2]


def test_check_leaves_out_what_the_caller_must_not_name(stocked) -> None:
    asked = ["14181338", "20141813", "14181336", "14181336", "99999999"]
    found = check_deployments(stocked.app, stocked.buyer, ids=asked)["items"]
    assert [item["id"] for item in found] == ["14181336", "20141813"]
    assert {**found[0], "entitlements": []} == get_deployment(stocked.app, stocked.buyer, id="14181336")
    assert check_deployments(stocked.app, stocked.buyer, ids=[]) == {"items": []}


def test_no_more_look_alikes_than_one_reads(world) -> None:
    for number in range(100, 115):
        register_deployment(
            world.app, id=str(number), organization_id="org_acme", name="Node", registered_on=date(2020, 1, 1)
        )
    assert get_deployment(world.app, world.buyer, id="114")["similar_to"] == [str(at) for at in range(100, 110)]
