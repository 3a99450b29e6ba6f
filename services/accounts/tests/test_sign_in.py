"""Signing in: right, wrong, unknown, deactivated."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from argon2 import extract_parameters

from accounts import passwords, storage
from accounts.bootstrap import assemble
from accounts.use_cases.deactivate_user import deactivate_user
from accounts.use_cases.sign_in import sign_in
from chassis.sealing import Sealer, new_key
from kernel.clock import rfc3339
from kernel.errors import Kind, Refusal


def _sessions(world):
    with world.app.database.reading() as reader:
        return reader.all(sa.select(storage.SESSION))


def _hash_of(world, user_id):
    with world.app.database.reading() as reader:
        return storage.user(reader, user_id)["password_hash"]


def test_the_right_password_begins_a_session_of_twelve_hours(world_on_both) -> None:
    answer = world_on_both.sign_in()
    assert rfc3339(answer["expires_at"]) == "2026-11-23T00:00:00.000Z"
    assert answer["user"] == {
        "id": "usr_ada", "email": "ada@acme.example", "name": "Somebody", "role": "buyer", "language": "en",
    }  # fmt: skip
    assert answer["organization"] == {"id": "org_acme", "name": "Acme", "number": "1003"}
    [session] = _sessions(world_on_both)
    assert (session["digest"], session["user_id"]) == (world_on_both.digest("token"), "usr_ada")


@pytest.mark.parametrize("typed", ["ADA@Acme.Example", "  ada@acme.example ", "ada@ＡＣＭＥ.example"])
def test_the_address_may_be_typed_in_any_case_and_width(world, typed: str) -> None:
    assert world.sign_in(typed)["user"]["id"] == "usr_ada"


def _refused(world, **how) -> Refusal:
    with pytest.raises(Refusal) as refused:
        world.sign_in(**how)
    return refused.value


def test_wrong_unknown_and_deactivated_answer_alike_and_begin_nothing(world) -> None:
    wrong = _refused(world, password="Correct horse battery staple")
    unknown = _refused(world, email="nobody@acme.example")
    malformed = _refused(world, email="no address")
    deactivate_user(world.app, world.admin, id="usr_ada")
    deactivated = _refused(world)
    assert wrong.kind == Kind.UNAUTHENTICATED
    assert wrong.code == "invalid_credentials"
    assert wrong.as_dict() == unknown.as_dict() == malformed.as_dict() == deactivated.as_dict()
    assert not _sessions(world)


def test_an_unknown_address_costs_the_same_work(world, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def recording(function, *args):
        computed.append((function.__name__, extract_parameters(args[0])))
        return function(*args)

    monkeypatch.setattr(passwords, "in_real_thread", recording)
    _refused(world, password="wrong")
    _refused(world, email="nobody@acme.example")
    assert [name for name, _ in computed] == ["verify", "verify"]
    assert computed[0] == computed[1]


def test_nobodys_hash_lets_nobody_in(world) -> None:
    assert not world.app.passwords.matches(None, "")


def test_deactivated_while_the_password_is_checked(world, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(password_hash, password):
        deactivate_user(world.app, world.admin, id="usr_ada")
        return True

    monkeypatch.setattr(world.app.passwords, "matches", slow)
    assert _refused(world).code == "invalid_credentials"
    assert not _sessions(world)


def test_a_hash_of_old_parameters_is_made_again_at_sign_in(world) -> None:
    before = _hash_of(world, "usr_ada")
    world.sign_in(token="first")
    assert _hash_of(world, "usr_ada") == before
    settings = replace(world.app.settings, password_memory_kib=16, password_passes=2)
    world.app = assemble(world.app.database, settings)
    world.sign_in(token="second")
    after = extract_parameters(_hash_of(world, "usr_ada"))
    assert (after.memory_cost, after.time_cost) == (16, 2)
    assert world.sign_in(token="third")["user"]["id"] == "usr_ada"


def test_a_retry_with_the_same_digest_is_the_same_session(world_on_both) -> None:
    first = world_on_both.sign_in()
    world_on_both.clock.advance(minutes=1)
    assert world_on_both.sign_in() == first
    assert len(_sessions(world_on_both)) == 1


def test_the_digest_of_somebody_elses_session_is_refused(world) -> None:
    world.sign_in()
    assert _refused(world, email="gus@globex.example").code == "digest_in_use"
    assert [session["user_id"] for session in _sessions(world)] == ["usr_ada"]


def test_a_password_sealed_for_somebody_else_is_refused(world) -> None:
    other = Sealer(assemble(world.app.database, replace(world.app.settings, sealing_key=new_key())).opener.public_key)
    with pytest.raises(Refusal) as refused:
        sign_in(
            world.app, email="ada@acme.example", sealed_password=other.seal(world.password), session_digest="0",
            client_address="192.0.2.7",
        )  # fmt: skip
    assert refused.value.code == "password_unreadable"


def test_no_password_and_no_token_is_stored(world) -> None:
    world.sign_in(token="pcs_secret-token")
    with world.app.database.engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())
    assert "usr_ada" in dump
    assert world.password not in dump
    assert "pcs_secret-token" not in dump


def test_the_eleventh_failure_for_a_user_name_waits_even_if_it_is_right(world_on_both) -> None:
    world = world_on_both
    for attempt in range(10):
        typed = ("ada@acme.example", " ADA@ACME.EXAMPLE ")[attempt % 2]
        refusal = _refused(world, email=typed, password="wrong", client_address=f"192.0.2.{attempt}")
        assert refusal.code == "invalid_credentials"
    right = _refused(world, client_address="192.0.2.99")
    assert (right.kind, right.code, right.extra) == (Kind.TOO_MANY, "too_many_attempts", {"retry_after_s": 600})
    assert not _sessions(world)
    assert world.sign_in("ann@acme.example", token="ann", client_address="192.0.2.99")["user"]["id"] == "usr_ann"
    world.clock.advance(minutes=10)
    assert world.sign_in()["user"]["id"] == "usr_ada"


def test_the_eleventh_failure_from_an_address_waits_whoever_is_asked_for(world) -> None:
    for attempt in range(10):
        assert _refused(world, email=f"nobody-{attempt}@acme.example").code == "invalid_credentials"
    for email in ("ada@acme.example", "nobody@acme.example", "no address"):
        assert _refused(world, email=email).as_dict() == _refused(world).as_dict()
    assert _refused(world).kind == Kind.TOO_MANY
    assert world.sign_in(client_address="192.0.2.8")["user"]["id"] == "usr_ada"


def test_who_must_wait_costs_no_work(world, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(10):
        _refused(world, password="wrong")
    monkeypatch.setattr(passwords, "in_real_thread", lambda *_: pytest.fail("a password was computed"))
    assert _refused(world).kind == Kind.TOO_MANY


def test_success_is_not_counted(world) -> None:
    for number in range(15):
        world.sign_in(token=f"token-{number}")
