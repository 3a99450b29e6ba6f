"""That a database needs no migration is found by the name of the newest one's file: it is Alembic's only head."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from chassis.persistence import Database
from chassis.persistence.schema import is_newest, newest_revision
from punchcard.parts import SERVICES


@pytest.mark.parametrize("package", SERVICES)
def test_the_last_file_is_the_only_head(package: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(files(package) / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision(package)]


def test_an_older_schema_and_none_at_all_are_not_the_newest(migrated: Callable[..., Database]) -> None:
    database = migrated("catalog")
    assert is_newest(database, "catalog")
    for change in ("UPDATE alembic_version SET version_num = '0002'", "DROP TABLE alembic_version"):
        with database.engine.begin() as connection:
            connection.execute(sa.text(change))
        assert not is_newest(database, "catalog")
