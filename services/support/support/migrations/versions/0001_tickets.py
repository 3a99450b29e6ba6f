"""Tickets, time entries, overruns and comments, and the guards on what never changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn, create_audit_table, drop_audit_table
from chassis.persistence.tables import METADATA

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = ("ticket_comment", "overrun", "time_entry", "ticket", "ticket_number")

#: What a ticket keeps for ever, and what an overrun asked for. Triggers refuse to change it, whoever asks.
_FROZEN = {
    "ticket": (
        "id", "number", "organization_id", "organization_name", "deployment_id", "deployment_name", "requester_id",
        "requester_email", "requester_name", "requester_language", "subject", "description", "opened_at",
    ),
    "overrun": ("id", "ticket_id", "round", "credits", "asked_at"),
    "time_entry": (
        "id", "ticket_id", "round", "minutes", "note", "worked_on", "worked_by", "worked_by_name", "recorded_at",
        "reverses_id",
    ),
    "ticket_comment": (
        "id", "ticket_id", "text", "internal", "by_staff", "author_id", "author_name", "written_at",
    ),
}  # fmt: skip


def upgrade() -> None:
    """Go forward."""
    METADATA.create_all(op.get_bind())
    create_audit_table()
    op.create_table(
        "ticket_number",
        sa.Column("serial", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("taken_at", UtcDateTimeColumn, nullable=False),
    )
    _create_tickets()
    _create_time_entries()
    _create_overruns()
    _create_comments()
    _freeze()


def _create_tickets() -> None:
    op.create_table(
        "ticket",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number", sa.String(32), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("organization_name", sa.String(200), nullable=False),
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("deployment_name", sa.String(200), nullable=False),
        sa.Column("requester_id", sa.String(64), nullable=False),
        sa.Column("requester_email", sa.String(320), nullable=False),
        sa.Column("requester_name", sa.String(200), nullable=False),
        sa.Column("requester_language", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("cap_credits", sa.BigInteger, nullable=False),
        sa.Column("worked_minutes", sa.BigInteger, nullable=False),
        sa.Column("written_off_minutes", sa.BigInteger, nullable=False),
        sa.Column("debited_credits", sa.BigInteger, nullable=False),
        sa.Column("given_back_credits", sa.BigInteger, nullable=False),
        sa.Column("opened_at", UtcDateTimeColumn, nullable=False),
        sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
        sa.Column("begun_at", UtcDateTimeColumn),
        sa.Column("closed_at", UtcDateTimeColumn),
        sa.Column("defect_at", UtcDateTimeColumn),
        sa.Column("defect_reason", sa.String(400)),
        # what credits is being asked, by whom, and when it is asked again
        sa.Column("step", sa.String(20)),
        sa.Column("step_subject", sa.String(64)),
        sa.Column("step_scope", sa.String(64)),
        sa.Column("step_key", sa.String(255)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", UtcDateTimeColumn),
        sa.UniqueConstraint("number", name="ticket_number_unique"),
        sa.CheckConstraint(
            "state IN ('opening', 'refused', 'open', 'waiting_for_customer', 'closing', 'closed')", name="ticket_state"
        ),
        sa.CheckConstraint("step IN ('hold', 'raise', 'settle', 'give_back')", name="ticket_step"),
        sa.CheckConstraint("(step IS NULL) = (next_attempt_at IS NULL)", name="ticket_step_goes_on"),
        sa.CheckConstraint("(state = 'opening') = (step IS NOT NULL AND step = 'hold')", name="ticket_opening_holds"),
        sa.CheckConstraint(
            "(state = 'closing') = (step IS NOT NULL AND step = 'settle')", name="ticket_closing_settles"
        ),
        sa.CheckConstraint("state <> 'closed' OR closed_at IS NOT NULL", name="ticket_closed_at"),
        sa.CheckConstraint("(defect_at IS NULL) = (defect_reason IS NULL)", name="ticket_defect"),
        sa.CheckConstraint("cap_credits > 0", name="ticket_cap"),
        sa.CheckConstraint("round > 0", name="ticket_round"),
        sa.CheckConstraint(
            "written_off_minutes >= 0 AND worked_minutes >= written_off_minutes", name="ticket_written_off"
        ),
        sa.CheckConstraint(
            "given_back_credits >= 0 AND debited_credits >= given_back_credits", name="ticket_given_back"
        ),
        sa.CheckConstraint("given_back_credits = 0 OR defect_at IS NOT NULL", name="ticket_given_back_for_defect"),
    )
    op.create_index("ticket_list", "ticket", ["organization_id", "id"])
    queued = sa.text("state IN ('open', 'waiting_for_customer')")
    op.create_index("ticket_queue", "ticket", ["state", "id"], sqlite_where=queued, postgresql_where=queued)
    under_way = sa.text("step IS NOT NULL")
    op.create_index(
        "ticket_to_resume", "ticket", ["next_attempt_at"], sqlite_where=under_way, postgresql_where=under_way
    )


def _create_time_entries() -> None:
    op.create_table(
        "time_entry",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("ticket_id", sa.String(64), sa.ForeignKey("ticket.id"), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("note", sa.String(400), nullable=False),
        sa.Column("worked_on", sa.Date, nullable=False),
        sa.Column("worked_by", sa.String(64), nullable=False),
        sa.Column("worked_by_name", sa.String(200), nullable=False),
        sa.Column("recorded_at", UtcDateTimeColumn, nullable=False),
        sa.Column("reverses_id", sa.String(64), sa.ForeignKey("time_entry.id")),
        sa.UniqueConstraint("reverses_id", name="time_entry_reversed_once"),
        sa.CheckConstraint("(minutes < 0) = (reverses_id IS NOT NULL) AND minutes <> 0", name="time_entry_minutes"),
    )
    op.create_index("time_entry_of_ticket", "time_entry", ["ticket_id", "id"])


def _create_overruns() -> None:
    op.create_table(
        "overrun",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("ticket_id", sa.String(64), sa.ForeignKey("ticket.id"), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("credits", sa.BigInteger, nullable=False),
        sa.Column("asked_at", UtcDateTimeColumn, nullable=False),
        sa.Column("ended_at", UtcDateTimeColumn),
        sa.Column("answered_by", sa.String(64)),
        sa.CheckConstraint("state IN ('asked', 'approved', 'declined', 'withdrawn')", name="overrun_state"),
        sa.CheckConstraint("(state = 'asked') = (ended_at IS NULL)", name="overrun_ended_at"),
        sa.CheckConstraint("credits > 0", name="overrun_credits"),
    )
    asked = sa.text("state = 'asked'")
    op.create_index(
        "overrun_one_asked", "overrun", ["ticket_id"], unique=True, sqlite_where=asked, postgresql_where=asked
    )


def _create_comments() -> None:
    op.create_table(
        "ticket_comment",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("ticket_id", sa.String(64), sa.ForeignKey("ticket.id"), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("internal", sa.Boolean, nullable=False),
        sa.Column("by_staff", sa.Boolean, nullable=False),
        sa.Column("author_id", sa.String(64), nullable=False),
        sa.Column("author_name", sa.String(200), nullable=False),
        sa.Column("written_at", UtcDateTimeColumn, nullable=False),
        sa.CheckConstraint("by_staff OR NOT internal", name="ticket_comment_internal"),
    )
    op.create_index("ticket_comment_of_ticket", "ticket_comment", ["ticket_id", "id"])


def _freeze() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_frozen_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'this is kept' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        refuse = "FOR EACH ROW EXECUTE FUNCTION refuse_frozen_change()"
    else:
        refuse = "BEGIN SELECT RAISE(ABORT, 'this is kept'); END"
    for table, columns in _FROZEN.items():
        op.execute(f"CREATE TRIGGER {table}_frozen BEFORE UPDATE OF {', '.join(columns)} ON {table} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {refuse}")


def downgrade() -> None:
    """Go back."""
    for table in _TABLES:
        op.drop_table(table)
    drop_audit_table()
    METADATA.drop_all(op.get_bind())
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_frozen_change")
