"""Sessions and API keys: who they are, and when they stop."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accounts.use_cases.authenticate import authenticate
from accounts.use_cases.create_api_key import create_api_key
from accounts.use_cases.deactivate_user import deactivate_user
from accounts.use_cases.get_organization import get_organization
from accounts.use_cases.list_api_keys import list_api_keys
from accounts.use_cases.register_user import register_user
from accounts.use_cases.revoke_api_key import revoke_api_key
from accounts.use_cases.sign_out import sign_out
from accounts.use_cases.sweep_sessions import sweep_sessions
from chassis.identity import IdentityVerifier, public_key_of
from chassis.testing import FixedClock, emitted
from kernel.errors import Kind, Refusal

REVOKED = "accounts.credential_revoked.v1"


def _who(world, credential: str = "token"):
    return authenticate(world.app, credential_digest=world.digest(credential))


def _refused(world, credential: str = "token") -> None:
    with pytest.raises(Refusal) as refused:
        _who(world, credential)
    assert (refused.value.kind, refused.value.code) == (Kind.UNAUTHENTICATED, "unauthenticated")


def _create(world, key: str = "key", name: str = "Nightly", caller=None, scopes=None):
    return create_api_key(
        world.app, caller or world.admin, name=name, digest=world.digest(key), last_four="x7Qk", scopes=scopes
    )


def _verified(world, answer):
    return IdentityVerifier(public_key_of(world.app.settings.identity_signing_key)).verify(answer["identity"])


@pytest.fixture
def clock() -> FixedClock:
    """A clock near the machine's, by which signatures are checked."""
    return FixedClock(datetime.now(UTC).replace(microsecond=0))


def test_a_session_is_its_user(world_on_both) -> None:
    session = world_on_both.sign_in()
    answer = _who(world_on_both)
    caller = _verified(world_on_both, answer)
    assert (caller.user_id, caller.email, caller.role) == ("usr_ada", "ada@acme.example", "buyer")
    assert (caller.organization_id, caller.organization, caller.language) == ("org_acme", "Acme", "en")
    assert answer["user"] == session["user"]
    assert answer["organization"] == session["organization"]
    assert answer["expires_at"] == session["expires_at"]
    assert (answer["believed_until"] - world_on_both.clock.now()).total_seconds() == 300


def test_an_api_key_is_the_admin_who_made_it(world_on_both) -> None:
    _create(world_on_both)
    answer = _who(world_on_both, "key")
    caller = _verified(world_on_both, answer)
    assert (caller.user_id, caller.role, caller.organization_id) == ("usr_ann", "admin", "org_acme")
    assert answer["expires_at"] is None
    assert (answer["believed_until"] - world_on_both.clock.now()).total_seconds() == 300


def test_a_key_is_good_for_what_it_was_made_for(world_on_both) -> None:
    world = world_on_both
    assert _create(world, "all")["scopes"] == ["read", "buy", "cards", "tickets", "admin"]
    assert _create(world, "some", scopes=["cards", "buy", "buy"])["scopes"] == ["buy", "cards"]
    assert _verified(world, _who(world, "all")).scopes is None
    restricted = _verified(world, _who(world, "some"))
    assert restricted.scopes == "buy cards"
    for scope in ("read", "buy", "cards"):
        restricted.require_scope(scope)
    for scope in ("tickets", "admin", None):
        with pytest.raises(Refusal, match="scope_missing"):
            restricted.require_scope(scope)


def test_a_restricted_key_makes_no_key_that_may_do_more(world) -> None:
    restricted = replace(world.admin, scopes="read admin")
    for scopes in (None, ["buy"], ["read", "buy"]):
        with pytest.raises(Refusal, match="scope_missing"):
            _create(world, caller=restricted, scopes=scopes)
    assert _create(world, caller=restricted, scopes=["admin"])["scopes"] == ["admin"]


def test_a_session_ends_at_its_expiry_to_the_second(world_on_both) -> None:
    expires_at = world_on_both.sign_in()["expires_at"]
    world_on_both.clock.advance(hours=11, minutes=59, seconds=59)
    assert _who(world_on_both)["believed_until"] == expires_at
    assert sweep_sessions(world_on_both.app) == 0
    world_on_both.clock.advance(seconds=1)
    _refused(world_on_both)
    assert sweep_sessions(world_on_both.app) == 1
    assert sweep_sessions(world_on_both.app) == 0


def test_nobodys_credential_is_refused(world) -> None:
    _refused(world, "made up")


def test_signing_out_ends_the_session_and_says_so_once(world_on_both) -> None:
    world_on_both.sign_in()
    digest = world_on_both.digest("token")
    for _ in range(2):
        assert sign_out(world_on_both.app, world_on_both.buyer, session_digest=digest) == {}
    _refused(world_on_both)
    assert emitted(world_on_both.app.database) == [(REVOKED, {"credential_digest": digest})]


def test_nobody_ends_somebody_elses_session(world) -> None:
    world.sign_in()
    sign_out(world.app, world.admin, session_digest=world.digest("token"))
    assert _who(world)["user"]["id"] == "usr_ada"
    assert emitted(world.app.database) == []


def test_deactivation_stops_sessions_and_keys_at_once(world_on_both) -> None:
    world = world_on_both
    register_user(
        world.app, id="usr_amy", organization_id="org_acme", email="amy@acme.example", name="Amy",
        password="a password", role="admin",
    )  # fmt: skip
    second = world.caller("usr_amy", "admin")
    world.sign_in("ann@acme.example", token="one")
    world.sign_in("ann@acme.example", token="two")
    _create(world)
    for _ in range(2):
        deactivate_user(world.app, second, id="usr_ann")
    for credential in ("one", "two", "key"):
        _refused(world, credential)
    told = [data["credential_digest"] for name, data in emitted(world.app.database) if name == REVOKED]
    assert sorted(told) == sorted(world.digest(credential) for credential in ("one", "two", "key"))


def test_who_may_deactivate_whom(world) -> None:
    for caller, user_id, code in (
        (world.buyer, "usr_ann", "forbidden"),
        (world.admin, "usr_ann", "cannot_deactivate_self"),
        (world.stranger, "usr_ada", "not_found"),
        (world.stranger, "usr_unknown", "not_found"),
    ):
        with pytest.raises(Refusal) as refused:
            deactivate_user(world.app, caller, id=user_id)
        assert refused.value.code == code
    assert get_organization(world.app, world.admin)["users_count"] == 2
    deactivate_user(world.app, world.admin, id="usr_ada")
    assert get_organization(world.app, world.admin) == {
        "id": "org_acme", "name": "Acme", "number": "1003", "time_zone": "UTC", "language": "en",
        "tax_exempt": False, "tax_certificate": None, "users_count": 1,
    }  # fmt: skip


def test_only_an_admin_handles_api_keys(world) -> None:
    for role in ("ticket", "viewer", "buyer", "finance", "support", "superuser"):
        caller = world.caller("usr_ada", role)
        for attempt in (
            lambda caller=caller: _create(world, caller=caller),
            lambda caller=caller: list_api_keys(world.app, caller, limit=20, cursor=None),
            lambda caller=caller: revoke_api_key(world.app, caller, id="key_x"),
        ):
            with pytest.raises(Refusal) as refused:
                attempt()
            assert refused.value.kind == Kind.FORBIDDEN


def test_keys_are_listed_newest_first_page_by_page_without_the_digest(world) -> None:
    made = [_create(world, f"key{number}", f"Key {number}") for number in range(5)]
    _create(world, "globex", "Globex", world.stranger)
    seen, cursor = [], None
    while True:
        page = list_api_keys(world.app, world.admin, limit=2, cursor=cursor)
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(key["name"] for key in seen) == [f"Key {number}" for number in range(5)]
    assert [key["id"] for key in seen] == sorted((key["id"] for key in made), reverse=True)
    assert set(seen[0]) == {"id", "name", "last_four", "created_at", "scopes"}


def test_a_revoked_key_is_refused_at_once_and_gone_from_the_list(world_on_both) -> None:
    key = _create(world_on_both)
    for _ in range(2):
        assert revoke_api_key(world_on_both.app, world_on_both.admin, id=key["id"]) == {}
    _refused(world_on_both, "key")
    assert list_api_keys(world_on_both.app, world_on_both.admin, limit=20, cursor=None)["items"] == []
    assert emitted(world_on_both.app.database) == [(REVOKED, {"credential_digest": world_on_both.digest("key")})]


def test_another_organisations_key_is_not_found(world) -> None:
    key = _create(world)
    with pytest.raises(Refusal) as refused:
        revoke_api_key(world.app, world.stranger, id=key["id"])
    assert refused.value.kind == Kind.NOT_FOUND
    assert _who(world, "key")["user"]["id"] == "usr_ann"


def test_the_same_digest_again_is_the_same_key_but_never_somebody_elses(world) -> None:
    key = _create(world)
    assert _create(world) == key
    with pytest.raises(Refusal, match="digest_in_use"):
        _create(world, caller=world.stranger)
    revoke_api_key(world.app, world.admin, id=key["id"])
    with pytest.raises(Refusal, match="digest_in_use"):
        _create(world)
