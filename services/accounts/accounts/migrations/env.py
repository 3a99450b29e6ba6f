"""Alembic's entrance."""

from accounts.storage import METADATA
from chassis.persistence.migrations import run_environment

run_environment(METADATA)
