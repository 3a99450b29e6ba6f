from chassis.persistence.migrations import run_environment
from chassis.persistence.tables import METADATA

run_environment(METADATA)
