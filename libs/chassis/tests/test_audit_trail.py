"""The audit trail: written with the change, read by those it concerns, changed by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from chassis.audit_trail import list_audit
from chassis.identity import Identity
from chassis.persistence import Database, IntegrityError, create_audit_table
from chassis.testing import FixedClock
from kernel.errors import Refusal

ADA = Identity("usr_ada", "ada@acme.example", "Ada", "admin", "org_acme", "Acme")
FINN = Identity("usr_finn", "finn@punchcard.example", "Finn", "finance", "org_us", "Punchcard")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgres")()
    made = Database(url, FixedClock())
    with made.engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        create_audit_table()
    yield made
    made.close()


@pytest.fixture
def filled(database: Database) -> Database:
    for number, (caller, concerned) in enumerate(((ADA, "org_acme"), (FINN, "org_acme"), (None, "org_bit"))):
        with database.transaction() as transaction:
            transaction.audit(caller, "card.frozen", f"scc_{number}", concerned, credits=number, why=None)
    return database


def subjects(database: Database, caller: Identity, limit: int = 10, **wanted: str) -> list[str]:
    with database.reading() as reader:
        return [item["subject_id"] for item in list_audit(reader, caller, limit=limit, **wanted)["items"]]


def test_a_line_stands_or_falls_with_the_change(database: Database) -> None:
    with pytest.raises(RuntimeError), database.transaction() as transaction:
        transaction.audit(ADA, "card.frozen", "scc_1", "org_acme")
        raise RuntimeError
    assert subjects(database, FINN) == []


def test_a_line_says_who_what_and_when(filled: Database) -> None:
    with filled.reading() as reader:
        of_nobody, of_finn, _ = list_audit(reader, FINN, limit=10)["items"]
    assert of_finn["actor_id"] == "usr_finn"
    assert (of_finn["actor_email"], of_finn["actor_role"]) == ("finn@punchcard.example", "finance")
    assert of_finn["details"] == {"credits": 1, "why": None}
    assert of_finn["happened_at"] == FixedClock().now()
    assert of_finn["correlation_id"].startswith("cor_")
    assert (of_nobody["actor_id"], of_nobody["actor_email"], of_nobody["actor_role"]) == (None, None, None)


def test_staff_see_all_and_admins_what_concerns_their_own(filled: Database) -> None:
    assert subjects(filled, FINN) == ["scc_2", "scc_1", "scc_0"]
    assert subjects(filled, FINN, organization_id="org_bit") == ["scc_2"]
    assert subjects(filled, FINN, actor_id="usr_ada", action="card.frozen") == ["scc_0"]
    assert subjects(filled, FINN, subject_id="scc_1") == ["scc_1"]
    assert subjects(filled, ADA) == ["scc_1", "scc_0"]
    assert subjects(filled, ADA, organization_id="org_bit") == ["scc_1", "scc_0"], "another's must not be seen"
    for role in ("ticket", "viewer", "buyer"):
        with pytest.raises(Refusal, match="needs the role"):
            subjects(filled, Identity("usr_x", "x@acme.example", "X", role, "org_acme", "Acme"))


def test_pages_go_on_before_a_line(filled: Database) -> None:
    with filled.reading() as reader:
        first = list_audit(reader, FINN, limit=2)
        rest = list_audit(reader, FINN, limit=2, before=first["items"][-1]["id"])
    assert (len(first["items"]), first["more"]) == (2, True)
    assert ([item["subject_id"] for item in rest["items"]], rest["more"]) == (["scc_0"], False)


@pytest.mark.parametrize("change", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry"])
def test_nobody_changes_it(change: str, filled: Database) -> None:
    with pytest.raises(IntegrityError, match="append-only"), filled.engine.begin() as connection:
        connection.execute(sa.text(change))
    assert len(subjects(filled, FINN)) == 3
