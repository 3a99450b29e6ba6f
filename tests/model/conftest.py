"""Databases to copy for each store without a network, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from model.in_process import make_templates


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("templates")
    make_templates(folder)
    return folder
