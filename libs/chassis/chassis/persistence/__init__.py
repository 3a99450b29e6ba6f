"""Storage: the engine, the unit of work with its outbox and inbox, column types, migrations, idempotency keys."""

from chassis.persistence.database import Database, Reader, Transaction
from chassis.persistence.idempotency import Answer, IdempotencyKeys, find_answer, request_hash
from chassis.persistence.tables import UtcDateTimeColumn, add_messaging_tables

__all__ = [
    "Answer",
    "Database",
    "IdempotencyKeys",
    "Reader",
    "Transaction",
    "UtcDateTimeColumn",
    "add_messaging_tables",
    "find_answer",
    "request_hash",
]
