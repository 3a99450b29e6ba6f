"""Whether a database has the newest schema of a service, found without Alembic.

Nearly every start of a process finds that it has, and to ask Alembic takes a quarter of such a start.
"""

from __future__ import annotations

from importlib.resources import files

import sqlalchemy as sa

from chassis.persistence.database import Database


def newest_revision(package: str) -> str:
    """The last of a service's migrations, whose file is named for it: ``0011`` of ``0011_disputes.py``.

    Args:
        package: the service's import name.
    """
    names = [file.name for file in (files(package) / "migrations" / "versions").iterdir()]
    return max(name for name in names if name.endswith(".py")).partition("_")[0]


def is_newest(database: Database, package: str) -> bool:
    """Whether there is nothing for `chassis.persistence.migrations.migrate` to do.

    Args:
        database: the service's.
        package: the service's import name.
    """
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return False
        found = connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all()
    return list(found) == [newest_revision(package)]
