"""A forgotten password: the same answer for everybody, a link that is good once, and sessions that end."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from accounts import storage
from accounts.use_cases.deactivate_user import deactivate_user
from accounts.use_cases.request_password_reset import request_password_reset
from accounts.use_cases.reset_password import reset_password
from chassis.persistence.tables import OUTBOX
from kernel.errors import Kind, Refusal

NEW_PASSWORD = "a new pass phrase"


def _request(world, email="ada@acme.example", client_address="192.0.2.7"):
    return request_password_reset(world.app, email=email, client_address=client_address)


def _reset(world, token, password=NEW_PASSWORD):
    return reset_password(world.app, token_digest=world.digest(token), sealed_password=world.seal(password))


def _refused(attempt) -> Refusal:
    with pytest.raises(Refusal) as refused:
        attempt()
    return refused.value


def _revoked(world) -> int:
    with world.app.database.reading() as reader:
        return len(reader.all(sa.select(OUTBOX).where(OUTBOX.c.type == "accounts.credential_revoked.v1")))


def test_a_new_password_takes_the_old_ones_place_and_ends_every_session(world_on_both) -> None:
    world = world_on_both
    for token in ("laptop", "phone"):
        world.sign_in(token=token)
    world.sign_in("ann@acme.example", token="ann")
    _request(world, " ADA@acme.example ")
    [notice] = world.notices()
    assert notice["purpose"] == "password_reset"
    assert notice["recipient"] == {"email": "ada@acme.example", "name": "Somebody", "language": "en"}
    assert notice["expires_at"] == "2026-11-22T13:00:00.000Z"
    assert world.sign_in(token="still")["user"]["id"] == "usr_ada"  # the old one is good until the new one is set

    assert _reset(world, notice["token"]) == {}
    with world.app.database.reading() as reader:
        assert [row["user_id"] for row in reader.all(sa.select(storage.SESSION))] == ["usr_ann"]
    assert _revoked(world) == 3
    assert _refused(lambda: world.sign_in(token="old")).code == "invalid_credentials"
    assert world.sign_in(password=NEW_PASSWORD, token="new")["user"]["id"] == "usr_ada"
    assert [each["purpose"] for each in world.notices()] == ["password_reset", "password_changed"]


def test_a_link_is_good_once_for_an_hour_and_until_another_was_used(world_on_both) -> None:
    world = world_on_both
    for _ in range(3):
        _request(world)
    first, second, third = (notice["token"] for notice in world.notices())
    _reset(world, second)
    world.clock.advance(hours=1)
    _request(world)
    fourth = world.notices()[-1]["token"]
    world.clock.advance(hours=1)
    answers = [
        _refused(lambda token=token: _reset(world, token)).as_dict()
        for token in (second, first, third, fourth, "unknown")
    ]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["code"] == "token_invalid"
    assert world.sign_in(password=NEW_PASSWORD)["user"]["id"] == "usr_ada"


def test_used_at_once_many_times_it_sets_one_password(world_on_both) -> None:
    world = world_on_both
    _request(world)
    [notice] = world.notices()

    def attempt(number):
        try:
            return _reset(world, notice["token"], f"pass phrase {number}") == {} and number
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(attempt, range(6)))
    [winner] = [answer for answer in answers if answer != "token_invalid"]
    assert world.sign_in(password=f"pass phrase {winner}")["user"]["id"] == "usr_ada"


def test_nobody_else_gets_a_mail(world) -> None:
    deactivate_user(world.app, world.admin, id="usr_ada")
    _request(world)
    _request(world, "nobody@acme.example")
    assert world.notices() == []
    assert _refused(lambda: _request(world, "no address")).code == "email_invalid"


def test_deactivated_after_the_mail_the_link_is_worth_nothing(world) -> None:
    _request(world)
    [notice] = world.notices()
    deactivate_user(world.app, world.admin, id="usr_ada")
    assert _refused(lambda: _reset(world, notice["token"])).code == "token_invalid"


def test_an_unknown_address_costs_what_a_known_one_costs(world) -> None:
    seen: list[str] = []
    sa.event.listen(
        world.app.database.engine, "before_cursor_execute", lambda _c, _u, statement, *_: seen.append(statement)
    )
    asked = []
    for number, email in enumerate(("ada@acme.example", "nobody@acme.example")):
        seen.clear()
        assert _request(world, email, f"192.0.2.{number}") == {}
        asked.append(list(seen))
    assert asked[0] == asked[1]


def test_a_bad_password_leaves_the_link_good(world) -> None:
    _request(world)
    [notice] = world.notices()
    assert _refused(lambda: _reset(world, notice["token"], "short")).code == "password_too_short"
    assert _refused(lambda: _reset(world, notice["token"], "ada@acme.example")).code == "password_too_simple"
    _reset(world, notice["token"])


def test_limits_are_per_address_and_per_network_known_or_not(world_on_both) -> None:
    world = world_on_both
    for email in ("ada@acme.example", "nobody@acme.example"):
        for number in range(5):
            _request(world, email, f"192.0.2.{number}")
        refusal = _refused(lambda email=email: _request(world, email, "192.0.2.99"))
        assert (refusal.kind, refusal.code) == (Kind.TOO_MANY, "too_many_attempts")
    for number in range(30):
        _request(world, f"nobody{number}@acme.example", "198.51.100.1")
    assert _refused(lambda: _request(world, "ann@acme.example", "198.51.100.1")).kind is Kind.TOO_MANY
    _request(world, "ann@acme.example", "198.51.100.2")


def test_no_token_is_stored(world) -> None:
    _request(world)
    [notice] = world.notices()
    with world.app.database.engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())
    assert notice["token"] not in dump
