"""Which parts the store is made of, and where each keeps its data."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

SERVICES = ("accounts", "catalog", "cart", "payments", "credits", "support", "notifications")


def sqlite_urls(folder: Path) -> dict[str, str]:
    """A database file a service."""
    return {f"{name.upper()}_DATABASE_URL": f"sqlite:///{folder / f'{name}.db'}" for name in SERVICES}


def postgres_urls(server: str) -> dict[str, str]:
    """A database a service on one PostgreSQL server, made if missing.

    Args:
        server: SQLAlchemy's URL of any database there, whose user may create databases.
    """
    url = sa.make_url(server)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    urls = {}
    with engine.connect() as connection:
        known = set(connection.scalars(sa.text("SELECT datname FROM pg_database")))
        for name in SERVICES:
            database = f"punchcard_{name}"
            if database not in known:
                connection.execute(sa.text(f'CREATE DATABASE "{database}"'))
            urls[f"{name.upper()}_DATABASE_URL"] = url.set(database=database).render_as_string(hide_password=False)
    return urls


def webhook_url(base_url: str) -> str:
    """Where the payment provider tells a store what became of charges."""
    return f"{base_url}/v1/webhooks/payments"
