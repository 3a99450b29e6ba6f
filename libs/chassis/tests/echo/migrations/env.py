from echo.service import METADATA

from chassis.persistence.migrations import run_environment

run_environment(METADATA)
