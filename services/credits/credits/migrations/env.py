"""Alembic's entry to the migrations of credits."""

from chassis.persistence.migrations import run_environment
from credits.storage import METADATA

run_environment(METADATA)
