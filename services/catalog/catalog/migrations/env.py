"""Alembic's entrance."""

from catalog.storage import METADATA
from chassis.persistence.migrations import run_environment

run_environment(METADATA)
