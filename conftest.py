"""Fixtures of the whole workspace."""

from pathlib import Path

import pytest

# pytest takes the folders gateway/ and punchcard/ for packages of those names; once imported, the real ones win
import gateway
import punchcard

pytest_plugins = ["chassis.testing.plugin"]
__all__ = ["gateway", "punchcard"]

#: Folders whose tests share a store that takes long to start: one worker runs all of them (`pytest -n`).
_TOGETHER = ("tests/faults", "tests/journeys")


@pytest.hookimpl(tryfirst=True)  # before the workers divide the tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests belong together: those of the folders above, and else those of a file."""
    for item in items:
        place = item.path.relative_to(config.rootpath)
        folder = next((folder for folder in _TOGETHER if Path(folder) in place.parents), None)
        item.add_marker(pytest.mark.xdist_group(folder or str(place)))
