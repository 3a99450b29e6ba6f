"""The composition root's verbs: safe to repeat, never changing what is there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa

from accounts import storage
from accounts.use_cases.authenticate import authenticate
from accounts.use_cases.get_deployment import get_deployment
from accounts.use_cases.register_api_key import register_api_key
from accounts.use_cases.register_deployment import register_deployment
from accounts.use_cases.register_organization import register_organization
from accounts.use_cases.register_user import register_user
from kernel.errors import Refusal


def _rows(world, table: sa.Table):
    with world.app.database.reading() as reader:
        return sorted(tuple(row.values()) for row in reader.all(sa.select(table)))


def _deployment(world, deployment_id: str = "14181336", organization_id: str = "org_acme", name: str = "Berlin"):
    return register_deployment(
        world.app, id=deployment_id, organization_id=organization_id, name=name, registered_on=date(2017, 6, 15)
    )


def _user(world, **changes):
    values = {
        "organization_id": "org_acme", "email": "Eve@Acme.example", "name": "Eve", "password": "a password",
        "role": "viewer", **changes,
    }  # fmt: skip
    return register_user(world.app, **values)


def _key(world, **changes):
    values = {
        "id": "key_demo", "user_id": "usr_ann", "name": "Demo", "digest": world.digest("pck_demo"),
        "last_four": "demo", **changes,
    }  # fmt: skip
    return register_api_key(world.app, **values)


def test_everything_may_be_registered_again(world_on_both) -> None:
    world = world_on_both

    def register_all() -> None:
        register_organization(world.app, id="org_acme", number=1003, name="Acme")
        assert _user(world, id="usr_eve") == "usr_eve"
        _deployment(world)
        _deployment(world, "14181337")
        _key(world)

    register_all()
    tables = (storage.ORGANIZATION, storage.USER, storage.DEPLOYMENT, storage.SIMILAR, storage.API_KEY)
    before = [_rows(world, table) for table in tables]
    world.clock.advance(days=1)
    register_all()
    assert [_rows(world, table) for table in tables] == before
    assert [len(rows) for rows in before] == [3, 5, 2, 2, 1]


def test_a_registered_user_keeps_the_password(world) -> None:
    user_id = _user(world)
    assert _user(world, password="another password") == user_id
    assert world.sign_in("eve@acme.example", "a password")["user"]["id"] == user_id


def test_a_registered_key_works_and_stays_revoked(world) -> None:
    _key(world)
    assert authenticate(world.app, credential_digest=world.digest("pck_demo"))["user"]["id"] == "usr_ann"
    with world.app.database.transaction() as transaction:
        storage.revoke_api_key(transaction, "key_demo")
    _key(world)
    with pytest.raises(Refusal, match="unauthenticated"):
        authenticate(world.app, credential_digest=world.digest("pck_demo"))


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        (lambda world: register_organization(world.app, id="org_new", number=1003, name="New"), "number_in_use"),
        (lambda world: _user(world, organization_id="org_none"), "not_found"),
        (lambda world: _user(world, role="support"), "role_invalid"),
        (lambda world: _user(world, role="admin", organization_id="org_platform"), "role_invalid"),
        (lambda world: _user(world, email="ADA@ACME.EXAMPLE", organization_id="org_globex"), "user_exists"),
        (lambda world: _user(world, email="ada@acme.example", id="usr_other"), "user_exists"),
        (lambda world: _user(world, id="usr_ada"), "user_exists"),
        (lambda world: _user(world, email="eve"), "email_invalid"),
        (lambda world: _deployment(world, organization_id="org_none"), "not_found"),
        (lambda world: _deployment(world, "dep_1"), "deployment_id_invalid"),
        (lambda world: (_deployment(world), _deployment(world, organization_id="org_globex")), "deployment_taken"),
        (lambda world: _key(world, user_id="usr_none"), "not_found"),
        (lambda world: _key(world, user_id="usr_ada"), "role_invalid"),
        (lambda world: (_key(world), _key(world, id="key_other")), "digest_in_use"),
        (lambda world: (_key(world), _key(world, user_id="usr_gus")), "digest_in_use"),
        (lambda world: (_key(world), _key(world, digest=world.digest("other"))), "digest_in_use"),
    ],
)
def test_what_contradicts_is_refused(world, attempt, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        attempt(world)
    assert refused.value.code == code


def test_look_alikes_registered_at_once_see_each_other(world_on_both) -> None:
    ids = [str(14181330 + number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda deployment_id: _deployment(world_on_both, deployment_id, name=deployment_id), ids))
    for deployment_id in ids:
        similar = get_deployment(world_on_both.app, world_on_both.buyer, id=deployment_id)["similar_to"]
        assert similar == [other for other in ids if other != deployment_id]


def test_one_address_registered_at_once_is_one_user(world_on_both) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: _user(world_on_both), range(8)))
    assert len(found) == 1
