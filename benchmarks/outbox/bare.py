"""The bar: py-amqp and psycopg2 alone, and the same rows in the same two transactions."""

from __future__ import annotations

import os
from typing import Any

import amqp
import psycopg2
import sqlalchemy as sa

from benchmarks.rpc import raw
from chassis.persistence import Database
from chassis.persistence.migrations import migrate

QUEUE = "bare"
DONE = "bare_done"
#: As many unacknowledged as our own consumers have.
PREFETCH = 8


def broker() -> tuple[Any, Any]:
    """An open connection and a channel on it, with the queues; the events' queue is a quorum queue, as ours are."""
    connection, channel = raw.connect(os.environ["AMQP_URI"])
    channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    channel.queue_declare(DONE, durable=True, auto_delete=False)
    return connection, channel


def database(service: str) -> Any:
    """A psycopg2 connection to a database with the tables of one of our services."""
    url = sa.make_url(os.environ[f"BARE_{service.upper()}_DATABASE_URL"])
    prepared = Database(url.render_as_string(hide_password=False))
    migrate(prepared, service)
    prepared.close()
    return psycopg2.connect(host=url.host, port=url.port, user=url.username, dbname=url.database)


def message(body: str, **properties: Any) -> Any:
    """A persistent message."""
    return amqp.Message(body, content_type="application/json", delivery_mode=2, **properties)
