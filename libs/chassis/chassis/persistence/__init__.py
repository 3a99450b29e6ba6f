"""Storage: the engine, the unit of work with its outbox and inbox, column types, migrations, idempotency keys,
counted failures."""

from sqlalchemy.exc import IntegrityError

from chassis.persistence.audit import create_audit_table, drop_audit_table
from chassis.persistence.database import Database, Reader, Transaction
from chassis.persistence.idempotency import (
    Answer,
    IdempotencyKeys,
    find_answer,
    in_flight,
    refuse_as_kept,
    request_hash,
)
from chassis.persistence.statements import Row, Statement
from chassis.persistence.tables import UtcDateTimeColumn, add_messaging_tables
from chassis.persistence.throttle import Throttle, failure_columns, failure_table, network_of, subject

__all__ = [
    "Answer",
    "Database",
    "IdempotencyKeys",
    "IntegrityError",
    "Reader",
    "Row",
    "Statement",
    "Throttle",
    "Transaction",
    "UtcDateTimeColumn",
    "add_messaging_tables",
    "create_audit_table",
    "drop_audit_table",
    "failure_columns",
    "failure_table",
    "find_answer",
    "in_flight",
    "network_of",
    "refuse_as_kept",
    "request_hash",
    "subject",
]
