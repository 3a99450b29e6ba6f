"""What an issuer does with a card: a new code, freezing, binding, splitting; and the reminder before it expires.

What holds whatever a program does:

- the cards that a card is split into have together what it had: triggers on `support_card`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chassis.persistence import UtcDateTimeColumn
from chassis.persistence.migrations import replace_check

revision = "0006"
down_revision = "0005"

_STATES = "state IN ('issued', 'claimed', 'recalled', 'expired', 'frozen', 'split')"

# a part that is not of a card that is just being split, or that would be more than is left of it
_WRONG_PART = """
    NEW.parent_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM support_card whole
        WHERE whole.id = NEW.parent_id AND whole.state = 'issued' AND whole.order_line_id = NEW.order_line_id
        AND whole.credits >= NEW.credits
            + (SELECT COALESCE(SUM(part.credits), 0) FROM support_card part WHERE part.parent_id = whole.id))
"""
# a card that is called split without having been, or that was and is called something else
_WRONG_SPLIT = """
    (OLD.state = 'split') <> (NEW.state = 'split') AND (OLD.state <> 'issued' OR NEW.credits
        <> (SELECT COALESCE(SUM(part.credits), 0) FROM support_card part WHERE part.parent_id = NEW.id))
"""


def upgrade() -> None:
    op.add_column("support_card", sa.Column("parent_id", sa.String(64)))
    op.add_column("support_card", sa.Column("root_id", sa.String(64)))
    op.add_column("support_card", sa.Column("code_issue", sa.Integer, nullable=False, server_default="1"))
    op.add_column("support_card", sa.Column("frozen_by", sa.String(10)))
    op.add_column("support_card", sa.Column("bound_organization_number", sa.String(64)))
    op.add_column("support_card", sa.Column("bound_mail_domain", sa.String(253)))
    op.add_column("support_card", sa.Column("remind_at", UtcDateTimeColumn))
    for name, column in (("parent", "parent_id"), ("root", "root_id"), ("remind", "remind_at")):
        given = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"support_card_{name}", "support_card", [column], sqlite_where=given, postgresql_where=given
        )  # fmt: skip
    replace_check("support_card", "support_card_state", _STATES)
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql("support_card_part", "INSERT", _WRONG_PART)
        _guard_postgresql("support_card_split", "UPDATE", _WRONG_SPLIT)
    else:
        _guard_sqlite("support_card_part", "INSERT", _WRONG_PART)
        _guard_sqlite("support_card_split", "UPDATE", _WRONG_SPLIT)


def _guard_postgresql(name: str, change: str, wrong: str) -> None:
    op.execute(
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {wrong} THEN
                RAISE EXCEPTION 'a split keeps its credits' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON support_card FOR EACH ROW EXECUTE FUNCTION {name}()")


def _guard_sqlite(name: str, change: str, wrong: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {change} ON support_card WHEN {wrong} "
        "BEGIN SELECT RAISE(ABORT, 'a split keeps its credits'); END"
    )
