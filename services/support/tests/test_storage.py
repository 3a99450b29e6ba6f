"""What the database itself refuses, on both kinds; and that the migrations make what the code expects."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from support import storage

TICKET, TIME_ENTRY, OVERRUN, COMMENT = storage.TICKET, storage.TIME_ENTRY, storage.OVERRUN, storage.COMMENT
FROZEN = ["number", "organization_id", "deployment_id", "requester_email", "subject", "description", "opened_at"]


@pytest.fixture
def worked(desk_on_both: Any) -> Any:
    """A desk with a ticket that has an entry, a comment and a question for credits."""
    ticket = desk_on_both.ticket()
    desk_on_both.work(ticket, 90)
    desk_on_both.ask(desk_on_both.staff, "add_comment", id=ticket, text="Hello")
    return desk_on_both


def test_what_may_never_be_stored(worked: Any) -> None:
    entry = worked.rows(TIME_ENTRY)[0]
    overrun = worked.rows(OVERRUN)[0]
    for statement in (
        *(sa.update(TICKET).values({column: TICKET.c[column]}) for column in FROZEN),
        *(sa.update(TIME_ENTRY).values({column.name: column}) for column in TIME_ENTRY.c),
        *(sa.update(COMMENT).values({column.name: column}) for column in COMMENT.c),
        sa.update(OVERRUN).values(credits=OVERRUN.c.credits),
        *(sa.delete(table) for table in (TICKET, TIME_ENTRY, OVERRUN, COMMENT)),
        sa.update(TICKET).values(state="lost"),
        sa.update(TICKET).values(state="opening"),
        sa.update(TICKET).values(state="closing"),
        sa.update(TICKET).values(state="closed"),
        sa.update(TICKET).values(step="hold"),
        sa.update(TICKET).values(step="settle", next_attempt_at=sa.func.current_timestamp()),
        sa.update(TICKET).values(cap_credits=0),
        sa.update(TICKET).values(worked_minutes=-1),
        sa.update(TICKET).values(written_off_minutes=91),
        sa.update(TICKET).values(given_back_credits=1),
        sa.update(TICKET).values(debited_credits=1, given_back_credits=1),
        sa.update(TICKET).values(defect_reason="x"),
        sa.update(OVERRUN).values(state="approved"),
        sa.insert(TIME_ENTRY).values({**entry, "id": "tme_2", "minutes": 0}),
        sa.insert(TIME_ENTRY).values({**entry, "id": "tme_2", "minutes": -1}),
        sa.insert(TIME_ENTRY).values({**entry, "id": "tme_2", "reverses_id": entry["id"]}),
        sa.insert(TIME_ENTRY).values({**entry, "id": "tme_2", "ticket_id": "tkt_none"}),
        sa.insert(OVERRUN).values({**overrun, "id": "ovr_2"}),
    ):
        with pytest.raises(sa.exc.IntegrityError), worked.database.transaction() as transaction:
            transaction.execute(statement)


def test_an_entry_is_reversed_once_in_the_database_too(worked: Any) -> None:
    entry = worked.rows(TIME_ENTRY)[0]
    reversal = {**entry, "minutes": -90, "reverses_id": entry["id"]}
    with worked.database.transaction() as transaction:
        transaction.execute(sa.insert(TIME_ENTRY).values({**reversal, "id": "tme_2"}))
    with pytest.raises(sa.exc.IntegrityError), worked.database.transaction() as transaction:
        transaction.execute(sa.insert(TIME_ENTRY).values({**reversal, "id": "tme_3"}))


def test_the_migrations_make_the_tables_of_the_code(desk_on_both: Any) -> None:
    with desk_on_both.database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), storage.METADATA)
    assert [one for one in differences if "alembic_version" not in str(one)] == []
