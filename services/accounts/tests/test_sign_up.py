"""Signing up: nothing exists before the mail is confirmed, and nobody learns who is a customer."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from accounts import storage
from accounts.use_cases.confirm_sign_up import confirm_sign_up
from accounts.use_cases.issue_links import issue_links
from accounts.use_cases.register_user import register_user
from accounts.use_cases.sign_up import sign_up
from kernel.errors import Kind, Refusal

NEW = "nora@new.example"
PASSWORD = "a long pass phrase"


def _sign_up(world, email=NEW, password=PASSWORD, **changes):
    values = {"name": "Nora New", "organization_name": "New Ltd", "language": "de", "client_address": "192.0.2.7"}
    return sign_up(world.app, email=email, sealed_password=world.seal(password), **{**values, **changes})


def _confirm(world, token):
    return confirm_sign_up(world.app, token_digest=world.digest(token))


def _refused(attempt) -> Refusal:
    with pytest.raises(Refusal) as refused:
        attempt()
    return refused.value


def _people(world):
    with world.app.database.reading() as reader:
        return reader.all(sa.select(storage.USER)), reader.all(sa.select(storage.ORGANIZATION))


def test_an_account_and_its_organisation_begin_with_the_confirmation(world_on_both) -> None:
    world = world_on_both
    before = _people(world)
    assert _sign_up(world) == {}
    [notice] = world.notices()
    assert notice["purpose"] == "confirmation"
    assert notice["recipient"] == {"email": NEW, "name": "", "language": "de"}
    assert notice["expires_at"] == "2026-11-24T12:00:00.000Z"
    assert _people(world) == before
    assert _refused(lambda: world.sign_in(NEW, PASSWORD)).code == "invalid_credentials"

    assert _confirm(world, notice["token"]) == {}
    answer = world.sign_in(NEW, PASSWORD)
    assert (answer["user"]["role"], answer["user"]["name"], answer["user"]["language"]) == ("admin", "Nora New", "de")
    assert (answer["organization"]["name"], answer["organization"]["number"]) == ("New Ltd", "10000")


def test_a_link_is_good_once_and_for_two_days(world_on_both) -> None:
    world = world_on_both
    _sign_up(world)
    _sign_up(world, "late@new.example")
    first, late = (notice["token"] for notice in world.notices())
    _confirm(world, first)
    world.clock.advance(days=2)
    answers = [_refused(lambda token=token: _confirm(world, token)).as_dict() for token in (first, late, "unknown")]
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0]["kind"], answers[0]["code"]) == (Kind.INVALID, "token_invalid")
    assert [user["email"] for user in _people(world)[0]].count(NEW) == 1


def test_confirmed_at_once_many_times_it_is_one_account(world_on_both) -> None:
    world = world_on_both
    _sign_up(world)
    [notice] = world.notices()

    def attempt(_number):
        try:
            return _confirm(world, notice["token"])
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    assert answers.count({}) == 1
    assert answers.count("token_invalid") == 7
    assert [organization["name"] for organization in _people(world)[1]].count("New Ltd") == 1


def test_organisations_that_begin_at_once_have_numbers_of_their_own(world_on_both) -> None:
    world = world_on_both
    for number in range(5):
        _sign_up(world, f"nora{number}@new.example", client_address=f"192.0.2.{number}")
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda notice: _confirm(world, notice["token"]), world.notices()))
    numbers = sorted(organization["number"] for organization in _people(world)[1])
    assert numbers == [1000, 1003, 1004, 10000, 10001, 10002, 10003, 10004]


def test_of_two_sign_ups_of_an_address_the_first_confirmed_is_the_account(world) -> None:
    _sign_up(world, organization_name="Mine")
    _sign_up(world, "Nora@NEW.example", "another pass phrase", organization_name="Other")
    mine, other = (notice["token"] for notice in world.notices())
    _confirm(world, mine)
    assert _refused(lambda: _confirm(world, other)).code == "token_invalid"
    assert world.sign_in(NEW, PASSWORD)["organization"]["name"] == "Mine"
    assert _refused(lambda: world.sign_in(NEW, "another pass phrase")).code == "invalid_credentials"


def test_an_address_that_became_a_users_meanwhile_is_not_taken_over(world) -> None:
    _sign_up(world)
    [notice] = world.notices()
    register_user(
        world.app, organization_id="org_acme", email=NEW, name="Nora", password="her own password", role="viewer"
    )
    organizations = _people(world)[1]
    assert _refused(lambda: _confirm(world, notice["token"])).code == "token_invalid"
    assert _people(world)[1] == organizations


def test_who_has_an_account_is_told_by_mail_and_nothing_else_happens(world_on_both) -> None:
    world = world_on_both
    before = _people(world)
    assert _sign_up(world, "ADA@acme.example") == {}
    [notice] = world.notices()
    assert (notice["purpose"], notice["token"]) == ("sign_up_repeated", None)
    assert notice["recipient"] == {"email": "ada@acme.example", "name": "Somebody", "language": "en"}
    assert _people(world) == before
    assert world.sign_in()["user"]["id"] == "usr_ada"


@pytest.fixture
def statements(world):
    """What is sent to the database, without values."""
    seen: list[str] = []
    sa.event.listen(
        world.app.database.engine, "before_cursor_execute", lambda _c, _u, statement, *_: seen.append(statement)
    )
    return seen


def test_a_known_address_costs_what_an_unknown_one_costs(world, statements) -> None:
    asked = []
    for number, email in enumerate((NEW, "ada@acme.example")):
        statements.clear()
        assert _sign_up(world, email, client_address=f"192.0.2.{number}") == {}
        asked.append(list(statements))
    assert asked[0] == asked[1]
    assert any("INSERT INTO link" in statement for statement in asked[0])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"email": "nobody"}, "email_invalid"),
        ({"password": "123456789"}, "password_too_short"),
        ({"password": "aaaaaaaaaaaa"}, "password_too_simple"),
        ({"password": NEW}, "password_too_simple"),
        ({"password": NEW.upper()}, "password_too_simple"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_trace(world, changes, code: str) -> None:
    assert _refused(lambda: _sign_up(world, **changes)).code == code
    assert world.notices() == []
    with world.app.database.reading() as reader:
        assert reader.all(sa.select(storage.LINK)) == []
        assert reader.all(sa.select(storage.FAILURE)) == []


def test_an_address_gets_five_mails_an_hour_and_others_are_not_held_up(world_on_both) -> None:
    world = world_on_both
    for number in range(5):
        _sign_up(world, client_address=f"192.0.2.{number}")
    refusal = _refused(lambda: _sign_up(world, "NORA@new.example", client_address="192.0.2.99"))
    assert (refusal.kind, refusal.extra) == (Kind.TOO_MANY, {"retry_after_s": 3600})
    _sign_up(world, "other@new.example", client_address="192.0.2.99")
    world.clock.advance(hours=1)
    _sign_up(world, client_address="192.0.2.99")
    assert len(world.notices()) == 7


def test_a_network_gets_thirty_mails_an_hour(world) -> None:
    for number in range(30):
        _sign_up(world, f"nora{number}@new.example")
    assert _refused(lambda: _sign_up(world, "one.more@new.example")).kind is Kind.TOO_MANY
    _sign_up(world, "one.more@new.example", client_address="198.51.100.1")


def test_each_link_is_made_once_however_many_make_them(world_on_both) -> None:
    world = world_on_both
    for number in range(6):
        _sign_up(world, f"nora{number}@new.example", client_address=f"192.0.2.{number}")
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: issue_links(world.app), range(4))) == 6
    assert len({notice["token"] for notice in world.notices()}) == 6


def test_no_token_and_no_password_is_stored(world) -> None:
    _sign_up(world)
    [notice] = world.notices()
    with world.app.database.engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())
    assert NEW in dump
    assert PASSWORD not in dump
    assert notice["token"] not in dump
