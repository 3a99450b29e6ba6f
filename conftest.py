"""Fixtures of the whole workspace."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# pytest takes the folders gateway/ and punchcard/ for packages of those names; once imported, the real ones win
import gateway
import punchcard

pytest_plugins = ["chassis.testing.plugin"]
__all__ = ["gateway", "punchcard"]

#: Folders whose tests share a store that takes long to start: one worker runs all of them (`pytest -n`).
_TOGETHER = ("tests/faults", "tests/journeys")


class Together(LoadScopeScheduling):
    """Hands the tests of the folders above to a worker as one, and else those of a file.

    xdist's own `loadgroup` renames tests in a way that pytest 9 does not notice, and divides them one by one.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in _TOGETHER if file.startswith(f"{folder}/")), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Say who divides the tests among workers."""
    return Together(config, log)
