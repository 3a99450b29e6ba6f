"""One's own password, changed by who knows it: other sessions end, and nobody guesses at an open one."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from accounts import storage
from accounts.use_cases.change_password import change_password
from chassis.persistence.tables import OUTBOX
from kernel.errors import Kind, Refusal

NEW_PASSWORD = "a new pass phrase"


def _change(world, old=None, new=NEW_PASSWORD, session="laptop", caller=None):
    return change_password(
        world.app, caller or world.buyer, sealed_old_password=world.seal(old or world.password),
        sealed_new_password=world.seal(new), session_digest=world.digest(session), client_address="192.0.2.7",
    )  # fmt: skip


def _refused(attempt) -> Refusal:
    with pytest.raises(Refusal) as refused:
        attempt()
    return refused.value


def _sessions(world) -> set[str]:
    with world.app.database.reading() as reader:
        return {row["digest"] for row in reader.all(sa.select(storage.SESSION))}


def test_the_new_password_is_good_at_once_and_only_this_session_goes_on(world_on_both) -> None:
    world = world_on_both
    for token in ("laptop", "phone", "office"):
        world.sign_in(token=token)
    world.sign_in("ann@acme.example", token="ann")
    assert _change(world) == {}
    assert _sessions(world) == {world.digest("laptop"), world.digest("ann")}
    with world.app.database.reading() as reader:
        revoked = reader.all(sa.select(OUTBOX).where(OUTBOX.c.type == "accounts.credential_revoked.v1"))
    assert len(revoked) == 2
    assert _refused(lambda: world.sign_in(token="old")).code == "invalid_credentials"
    assert world.sign_in(password=NEW_PASSWORD, token="new")["user"]["id"] == "usr_ada"
    [notice] = world.notices()
    assert (notice["purpose"], notice["recipient"]["email"]) == ("password_changed", "ada@acme.example")


@pytest.mark.parametrize(
    ("new", "code"), [("short", "password_too_short"), ("ada@acme.example", "password_too_simple")]
)
def test_a_poor_password_changes_nothing(world, new: str, code: str) -> None:
    world.sign_in(token="phone")
    refused = _refused(lambda: _change(world, new=new))
    assert (refused.code, refused.errors[0]["field"]) == (code, "new_password")
    assert _sessions(world) == {world.digest("phone")}
    assert world.sign_in(token="laptop")["user"]["id"] == "usr_ada"


def test_wrong_old_passwords_are_counted_with_the_refused_sign_ins(world) -> None:
    for _ in range(5):
        refused = _refused(lambda: _change(world, old="not this one"))
        assert (refused.code, refused.errors[0]["field"]) == ("password_wrong", "old_password")
        assert _refused(lambda: world.sign_in(password="nor this one")).code == "invalid_credentials"
    for attempt in (lambda: _change(world), lambda: world.sign_in(token="laptop")):
        assert _refused(attempt).kind is Kind.TOO_MANY
    world.clock.advance(minutes=11)
    assert _change(world) == {}


def test_changed_twice_at_once_one_of_them_wins(world_on_both) -> None:
    world = world_on_both

    def attempt(number: int) -> str:
        try:
            _change(world, new=f"pass phrase {number}")
        except Refusal as refusal:
            return refusal.code
        return str(number)

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(attempt, range(4)))
    assert answers[1:] == ["password_wrong"] * 3
    assert world.sign_in(password=f"pass phrase {answers[0]}")["user"]["id"] == "usr_ada"
