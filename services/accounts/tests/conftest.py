"""A small world: two customers and the platform, with users who know their passwords."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from accounts.bootstrap import App, assemble
from accounts.messages import NOTICE_ISSUED
from accounts.settings import Settings
from accounts.use_cases.issue_links import issue_links
from accounts.use_cases.register_organization import register_organization
from accounts.use_cases.register_user import register_user
from accounts.use_cases.sign_in import sign_in
from chassis.identity import Identity
from chassis.persistence import Database
from chassis.persistence.tables import OUTBOX
from chassis.sealing import Opener, Sealer, new_key
from chassis.testing import FixedClock, identity, sqlite_database

#: What a mail may show, and nobody else.
NOTIFICATIONS = Opener(new_key())
PASSWORD = "correct horse battery staple"


@dataclass
class World:
    """What a test works with."""

    app: App
    clock: FixedClock
    password: str = PASSWORD

    def digest(self, credential: str) -> str:
        """What the gateway sends of a credential."""
        return hashlib.sha256(credential.encode()).hexdigest()

    def seal(self, password: str) -> str:
        """A password as the gateway sends it."""
        return Sealer(self.app.opener.public_key).seal(password)

    def sign_in(
        self, email: str = "ada@acme.example", password: str = PASSWORD, token: str = "token",
        client_address: str = "192.0.2.7",
    ) -> Any:  # fmt: skip
        """Sign in as the gateway would."""
        return sign_in(
            self.app, email=email, sealed_password=self.seal(password), session_digest=self.digest(token),
            client_address=client_address,
        )  # fmt: skip

    def notices(self) -> list[dict[str, Any]]:
        """What notifications is to mail, oldest first, with the token of a link in clear as the mail shows it."""
        issue_links(self.app)
        with self.app.database.reading() as reader:
            rows = reader.all(sa.select(OUTBOX.c.body).where(OUTBOX.c.type == NOTICE_ISSUED.name).order_by(OUTBOX.c.id))
        found = [json.loads(row["body"])["data"] for row in rows]
        for notice in found:
            sealed = notice.pop("sealed_token", None)
            notice["token"] = NOTIFICATIONS.open(sealed) if sealed else None
        return found

    def caller(self, user_id: str, role: str, organization_id: str = "org_acme") -> Identity:
        """Somebody who has been authenticated."""
        return identity(role, user_id=user_id, organization_id=organization_id)

    @property
    def admin(self) -> Identity:
        return self.caller("usr_ann", "admin")

    @property
    def buyer(self) -> Identity:
        return self.caller("usr_ada", "buyer")

    @property
    def stranger(self) -> Identity:
        """The admin of another organisation."""
        return self.caller("usr_gus", "admin", "org_globex")


def cheap_settings(**overrides: Any) -> Settings:
    """Settings with new keys and passwords that cost next to nothing."""
    cheap = {"password_memory_kib": 8, "password_passes": 1, "password_lanes": 1}
    keys = {"identity_signing_key": new_key(), "sealing_key": new_key()}
    return Settings(**keys, notifications_sealing_public_key=NOTIFICATIONS.public_key, **{**cheap, **overrides})


def populate(database: Database, clock: FixedClock) -> World:
    """The small world in a database."""
    app = assemble(database, cheap_settings())
    register_organization(app, id="org_acme", number=1003, name="Acme")
    register_organization(app, id="org_globex", number=1004, name="Globex")
    register_organization(app, id="org_platform", number=1000, name="Punchcard", platform=True)
    for user_id, organization_id, email, role in (
        ("usr_ann", "org_acme", "ann@acme.example", "admin"),
        ("usr_ada", "org_acme", "ada@acme.example", "buyer"),
        ("usr_gus", "org_globex", "gus@globex.example", "admin"),
        ("usr_sue", "org_platform", "sue@punchcard.example", "support"),
    ):
        register_user(
            app, id=user_id, organization_id=organization_id, email=email, name="Somebody", password=PASSWORD, role=role
        )
    return World(app, clock)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def world(tmp_path: Path, clock: FixedClock) -> World:
    """The small world on SQLite."""
    return populate(sqlite_database(tmp_path, "accounts", clock), clock)


@pytest.fixture
def world_on_both(migrated: Callable[..., Database], clock: FixedClock) -> World:
    """The small world, once on SQLite and once on PostgreSQL."""
    return populate(migrated("accounts", clock), clock)
