"""What travels keeps its shape; the schema of the database is what the code thinks it is."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from marshmallow import ValidationError

from accounts import messages, storage
from accounts.service import AccountsService
from accounts.settings import Settings, read
from chassis.messages import dump_checked
from chassis.sealing import new_key
from chassis.service import Consume, Every, Rpc, Service
from chassis.settings import Environment, SettingsError


def _entrypoints(kind: type):
    return {
        name: entrypoint
        for name in dir(AccountsService)
        for entrypoint in getattr(getattr(AccountsService, name), "nameko_entrypoints", ())
        if isinstance(entrypoint, kind)
    }


METHODS = {name: rpc for name, rpc in _entrypoints(Rpc).items() if not hasattr(Service, name)}


#: For staff. Everybody else's organisation comes from the identity.
NAMES_AN_ORGANIZATION = {"set_tax_certificate", "add_deployment"}


def test_every_method_has_an_example() -> None:
    assert set(METHODS) == set(messages.RPC_EXAMPLES)


@pytest.mark.parametrize("method", sorted(messages.RPC_EXAMPLES))
def test_examples_are_what_the_schemas_say(method: str) -> None:
    example, rpc = messages.RPC_EXAMPLES[method], METHODS[method]
    rpc.request.load(example["request"])
    loaded = rpc.reply.load(example["reply"])
    assert dump_checked(rpc.reply, loaded) == example["reply"]
    odd = {"user_id": "usr_other"} if method in NAMES_AN_ORGANIZATION else {"organization_id": "org_other"}
    with pytest.raises(ValidationError, match="Unknown field"):
        rpc.request.load({**example["request"], **odd})


@pytest.mark.parametrize("event", messages.EVENTS, ids=lambda event: event.name)
def test_events_are_what_their_schemas_say(event) -> None:
    assert event.source == "accounts"
    assert dump_checked(event.schema, event.schema.load(event.example)) == event.example


def test_only_who_has_no_identity_yet_may_come_without() -> None:
    assert {name for name, rpc in METHODS.items() if rpc.anonymous} == {
        "sign_in", "authenticate", "sign_up", "confirm_sign_up", "request_password_reset", "reset_password",
        "accept_invitation",
    }  # fmt: skip


def test_what_is_heard_and_what_is_swept() -> None:
    [paid] = _entrypoints(Consume).values()
    assert paid.event == "cart.order_paid.v1"
    assert _entrypoints(Every)["sweep_sessions"].seconds == 3600


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("authenticate", {"credential_digest": "9F" * 32}),
        ("authenticate", {"credential_digest": "0" * 64 + "\n"}),
        ("authenticate", {"credential_digest": "pcs_token"}),
        ("sign_in", {"email": "ada@acme.example\r\nBcc: eve@x.example"}),
        ("sign_in", {"email": ""}),
        ("create_api_key", {"name": "a\x00b"}),
        ("create_api_key", {"last_four": "too long"}),
        ("list_api_keys", {"limit": 0}),
        ("search_deployments", {"limit": 101}),
        ("search_deployments", {"limit": "20"}),
        ("search_deployments", {"q": "x" * 201}),
        ("check_deployments", {"ids": ["1"] * 501}),
    ],
)
def test_bad_input_is_refused(method: str, changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        METHODS[method].request.load({**messages.RPC_EXAMPLES[method]["request"], **changes})
    assert {str(field).split(".")[0] for field in refused.value.messages} == set(changes)


def test_real_answers_fit_the_reply_schemas(world) -> None:
    assert dump_checked(messages.SignedIn(), world.sign_in())["expires_at"] == "2026-11-23T00:00:00.000Z"


def test_the_migrations_make_the_tables_of_the_code(migrated) -> None:
    database = migrated("accounts")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, storage.METADATA) == []
        found = sa.inspect(connection)
        for table in storage.METADATA.sorted_tables:
            wanted = {check.name for check in table.constraints if isinstance(check, sa.CheckConstraint)}
            assert {check["name"] for check in found.get_check_constraints(table.name)} == wanted


def test_settings_come_from_the_environment() -> None:
    keys = {"IDENTITY_SIGNING_KEY": new_key(), "ACCOUNTS_SEALING_KEY": new_key(),
            "NOTIFICATIONS_SEALING_PUBLIC_KEY": new_key()}  # fmt: skip
    assert read(Environment(keys)) == Settings(*keys.values())
    assert read(Environment({**keys, "ACCOUNTS_SESSION_HOURS": "1"})).session_lifetime == timedelta(hours=1)
    with pytest.raises(SettingsError, match=r"IDENTITY_SIGNING_KEY.*ACCOUNTS_SEALING_KEY"):
        read(Environment({}))


def test_settings_do_not_show_their_keys() -> None:
    settings = Settings(new_key(), new_key(), new_key())
    assert settings.sealing_key not in repr(settings)
    assert settings.identity_signing_key not in repr(settings)
