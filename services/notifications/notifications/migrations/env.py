from chassis.persistence.migrations import run_environment
from notifications.storage import METADATA

run_environment(METADATA)
