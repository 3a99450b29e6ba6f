from chassis.persistence.migrations import run_environment
from payments.remittance_storage import METADATA

run_environment(METADATA)
