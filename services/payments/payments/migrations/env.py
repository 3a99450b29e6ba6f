from chassis.persistence.migrations import run_environment
from payments.storage import METADATA

run_environment(METADATA)
