"""What tests need: databases, brokers, clocks, identities, events. Nothing but tests imports this."""

from chassis.testing.contracts import event_example, rpc_contract
from chassis.testing.databases import sqlite_database
from chassis.testing.fakes import FixedClock, identity, make_event, wait_until
from chassis.testing.storage import create_tables, emitted, round_trips

__all__ = [
    "FixedClock",
    "create_tables",
    "emitted",
    "event_example",
    "identity",
    "make_event",
    "round_trips",
    "rpc_contract",
    "sqlite_database",
    "wait_until",
]
