"""Alembic's entrance."""

from chassis.persistence.migrations import run_environment
from support.storage import METADATA

run_environment(METADATA)
