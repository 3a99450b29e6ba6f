"""The table of races and abuses names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = [line for line in (ROOT / "tests/races.md").read_text().splitlines() if re.match(r"\| \d+ \|", line)]


@cache
def names_in(path: str) -> set[str]:
    """The tests of a file, by name."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_they_are_numbered() -> None:
    assert [row.split("|")[1].strip() for row in ROWS] == [str(number) for number in range(1, 23)]


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[2].strip() for row in ROWS])
def test_each_has_its_tests(row: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
    assert named
    for path, name in named:
        assert name in names_in(path), f"{path}::{name}"
