"""The users of an organisation: invited, changed, deactivated and back; never without an admin."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from accounts.use_cases.accept_invitation import accept_invitation
from accounts.use_cases.authenticate import authenticate
from accounts.use_cases.create_api_key import create_api_key
from accounts.use_cases.get_organization import get_organization
from accounts.use_cases.invite_user import invite_user
from accounts.use_cases.list_invitations import list_invitations
from accounts.use_cases.list_users import list_users
from accounts.use_cases.register_user import register_user
from accounts.use_cases.update_organization import update_organization
from accounts.use_cases.update_user import update_user
from accounts.use_cases.withdraw_invitation import withdraw_invitation
from chassis.audit_trail import list_audit
from kernel.errors import Kind, Refusal

IVY = {"email": "ivy@acme.example", "name": "Ivy Iverson", "role": "viewer"}


def _refused(attempt) -> str:
    with pytest.raises(Refusal) as refused:
        attempt()
    return refused.value.code


def _invite(world, caller=None, **changes):
    return invite_user(world.app, caller or world.admin, **{**IVY, **changes})


def _accept(world, token, password="ivys pass phrase"):
    return accept_invitation(world.app, token_digest=world.digest(token), sealed_password=world.seal(password))


def _update(world, user_id, caller=None, **changes):
    return update_user(world.app, caller or world.admin, id=user_id, **changes)


def _users(world, caller=None):
    items = list_users(world.app, caller or world.admin, limit=100, cursor=None)["items"]
    return {item["id"]: (item["role"], item["active"]) for item in items}


def _invitations(world, caller=None):
    return list_invitations(world.app, caller or world.admin, limit=100, cursor=None)["items"]


def _second_admin(world):
    register_user(
        world.app, id="usr_amy", organization_id="org_acme", email="amy@acme.example", name="Amy",
        password="correct horse battery staple", role="admin",
    )  # fmt: skip
    return world.caller("usr_amy", "admin")


def test_an_invitation_becomes_a_user_with_the_acceptance(world_on_both) -> None:
    world = world_on_both
    update_organization(world.app, world.admin, language="de")
    invited = _invite(world, email=" Ivy@ACME.example")
    assert (invited["email"], invited["role"]) == ("ivy@acme.example", "viewer")
    assert _invitations(world) == [invited]
    [notice] = world.notices()
    assert (notice["purpose"], notice["organization_name"]) == ("invitation", "Acme")
    assert notice["recipient"] == {"email": "ivy@acme.example", "name": "Ivy Iverson", "language": "de"}
    assert notice["expires_at"] == "2026-11-29T12:00:00.000Z"
    assert _refused(lambda: world.sign_in("ivy@acme.example", "ivys pass phrase")) == "invalid_credentials"
    assert _refused(lambda: _accept(world, notice["token"], "short")) == "password_too_short"

    assert _accept(world, notice["token"]) == {}
    answer = world.sign_in("ivy@acme.example", "ivys pass phrase")
    assert (answer["user"]["role"], answer["organization"]["id"]) == ("viewer", "org_acme")
    assert _invitations(world) == []
    assert _refused(lambda: _accept(world, notice["token"])) == "token_invalid"
    assert _refused(lambda: _invite(world)) == "user_exists"


def test_accepted_at_once_many_times_it_is_one_user(world_on_both) -> None:
    world = world_on_both
    _invite(world)
    [notice] = world.notices()

    def attempt(_number):
        try:
            return _accept(world, notice["token"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(map(str, pool.map(attempt, range(4)))) == ["token_invalid"] * 3 + ["{}"]
    assert len(_users(world)) == 3


def test_invited_again_withdrawn_or_late_a_link_is_dead(world_on_both) -> None:
    world = world_on_both
    _invite(world)
    world.notices()
    again = _invite(world, role="buyer")
    assert _invitations(world) == [again]
    first, second = (notice["token"] for notice in world.notices())
    assert _refused(lambda: _accept(world, first)) == "token_invalid"
    withdraw_invitation(world.app, world.admin, id=again["id"])
    assert _refused(lambda: _accept(world, second)) == "token_invalid"
    assert _refused(lambda: withdraw_invitation(world.app, world.admin, id=again["id"])) == "not_found"
    _invite(world)
    late = world.notices()[-1]["token"]
    world.clock.advance(days=7)
    assert _refused(lambda: _accept(world, late)) == "token_invalid"


def test_an_admin_does_not_learn_whose_user_an_address_is(world) -> None:
    stranger, unknown = _invite(world, email="gus@globex.example"), _invite(world)
    assert set(stranger) == set(unknown)
    notices = world.notices()
    assert [notice["purpose"] for notice in notices] == ["invitation_impossible", "invitation"]
    assert notices[0]["token"] is None
    assert len(_invitations(world)) == 2
    assert world.sign_in("gus@globex.example")["organization"]["id"] == "org_globex"


def test_an_invitation_of_another_organisation_is_unknown(world) -> None:
    invited = _invite(world)
    assert _refused(lambda: withdraw_invitation(world.app, world.stranger, id=invited["id"])) == "not_found"
    assert _refused(lambda: withdraw_invitation(world.app, world.stranger, id="lnk_none")) == "not_found"
    assert _invitations(world, world.stranger) == []
    assert len(_invitations(world)) == 1


def test_roles_fit_the_organisation(world) -> None:
    superuser = world.caller("usr_sue", "superuser", "org_platform")
    assert _refused(lambda: _invite(world, role="finance")) == "role_invalid"
    assert _refused(lambda: _invite(world, superuser, role="admin")) == "role_invalid"
    assert _invite(world, superuser, role="finance")["role"] == "finance"
    assert _refused(lambda: _update(world, "usr_ada", role="superuser")) == "role_invalid"
    assert world.notices()[0]["organization_name"] == "Punchcard"


def test_too_many_invitations_wait(world) -> None:
    for number in range(5):
        _invite(world, role=("viewer", "buyer")[number % 2])
    with pytest.raises(Refusal) as refused:
        _invite(world)
    assert refused.value.kind is Kind.TOO_MANY
    for number in range(25):
        _invite(world, email=f"ivy{number}@acme.example")
    assert _refused(lambda: _invite(world, email="one.more@acme.example")) == "too_many_attempts"


def test_a_new_role_ends_the_sessions_so_that_it_counts_at_once(world_on_both) -> None:
    world = world_on_both
    world.sign_in(token="laptop")
    assert _update(world, "usr_ada", role="viewer")["role"] == "viewer"
    assert _refused(lambda: authenticate(world.app, credential_digest=world.digest("laptop"))) == "unauthenticated"
    assert world.sign_in(token="again")["user"]["role"] == "viewer"
    assert _update(world, "usr_ada", role="viewer", name="Ada")["name"] == "Ada"  # the same role changes nothing
    assert authenticate(world.app, credential_digest=world.digest("again"))["user"]["name"] == "Ada"


def test_keys_of_who_is_no_admin_any_more_are_dead_for_good(world_on_both) -> None:
    world = world_on_both
    amy = _second_admin(world)
    for caller in (world.admin, amy):
        create_api_key(
            world.app, caller, name="Key", digest=world.digest(caller.user_id), last_four="x7Qk", scopes=None
        )
    _update(world, "usr_ann", amy, role="buyer")
    _update(world, "usr_ann", amy, role="admin")
    assert _refused(lambda: authenticate(world.app, credential_digest=world.digest("usr_ann"))) == "unauthenticated"
    assert authenticate(world.app, credential_digest=world.digest("usr_amy"))["user"]["id"] == "usr_amy"
    _update(world, "usr_amy", active=False)
    assert _update(world, "usr_amy", active=True)["active"]
    assert _refused(lambda: authenticate(world.app, credential_digest=world.digest("usr_amy"))) == "unauthenticated"
    assert world.sign_in("amy@acme.example")["user"]["id"] == "usr_amy"


def test_deactivated_and_back(world_on_both) -> None:
    world = world_on_both
    for _ in range(2):
        assert not _update(world, "usr_ada", active=False)["active"]
    assert _refused(world.sign_in) == "invalid_credentials"
    assert get_organization(world.app, world.admin)["users_count"] == 1
    assert _users(world) == {"usr_ann": ("admin", True), "usr_ada": ("buyer", False)}
    for _ in range(2):
        assert _update(world, "usr_ada", active=True)["active"]
    assert world.sign_in()["user"]["id"] == "usr_ada"
    with world.app.database.reading() as reader:
        lines = list_audit(reader, world.admin, limit=10)["items"]
    assert [(line["action"], line["details"]) for line in lines] == [
        ("user.changed", {"active": True}), ("user.changed", {"active": False}),
    ]  # fmt: skip


def test_the_last_admin_stays_one(world_on_both) -> None:
    world = world_on_both
    assert _refused(lambda: _update(world, "usr_ann", role="viewer")) == "last_admin"
    assert _refused(lambda: _update(world, "usr_ann", active=False)) == "cannot_deactivate_self"
    amy = _second_admin(world)
    _update(world, "usr_ann", role="viewer")
    assert _refused(lambda: _update(world, "usr_amy", amy, role="viewer")) == "last_admin"
    assert _users(world, amy)["usr_amy"] == ("admin", True)


def test_two_admins_who_unseat_each_other_at_once_leave_one(world_on_both) -> None:
    world = world_on_both
    amy = _second_admin(world)

    def attempt(caller, user_id):
        try:
            return _update(world, user_id, caller, active=False)["active"]
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(attempt, world.admin, "usr_amy"), pool.submit(attempt, amy, "usr_ann")
        assert sorted([str(first.result()), str(second.result())]) == ["False", "last_admin"]


def test_only_admins_and_only_their_own(world) -> None:
    for caller in (world.buyer, world.caller("usr_sue", "support", "org_platform")):
        for attempt in (
            lambda caller: _invite(world, caller),
            lambda caller: _users(world, caller),
            lambda caller: _invitations(world, caller),
            lambda caller: _update(world, "usr_ann", caller, role="viewer"),
            lambda caller: withdraw_invitation(world.app, caller, id="lnk_1"),
            lambda caller: update_organization(world.app, caller, name="Mine"),
        ):
            assert _refused(lambda caller=caller, attempt=attempt: attempt(caller)) == "forbidden"
    foreign = [_refused(lambda each=each: _update(world, each, world.stranger, role="viewer"))
               for each in ("usr_ada", "usr_none")]  # fmt: skip
    assert foreign == ["not_found", "not_found"]
    assert _refused(lambda: _update(world, "usr_ada")) == "nothing_to_change"


def test_the_organisations_own_record(world_on_both) -> None:
    world = world_on_both
    changed = update_organization(world.app, world.admin, name="Acme AG", time_zone="Europe/Zurich", language="de-CH")
    assert (changed["name"], changed["time_zone"], changed["language"]) == ("Acme AG", "Europe/Zurich", "de-CH")
    assert get_organization(world.app, world.admin) == {**changed, "users_count": 2}
    for zone in ("Mars/Olympus", "../etc/passwd", "europe/zurich"):
        assert _refused(lambda zone=zone: update_organization(world.app, world.admin, time_zone=zone)) == (
            "time_zone_unknown"
        )
    assert _refused(lambda: update_organization(world.app, world.admin)) == "nothing_to_change"
