"""What other services promise, read from ``contracts/``: tests of a consumer need not import the producer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def event_example(name: str) -> dict[str, Any]:
    """The producer's example of an event's data, such as of ``credits.card_issued.v1``."""
    service, _, rest = name.partition(".")
    return _read(f"{service}/events/{rest}.example.json")


def rpc_contract(service: str, method: str) -> dict[str, Any]:
    """What a service promises of a method: ``anonymous``, ``request``, ``reply`` (JSON Schemas) and ``example``."""
    own = f"{service}/rpc/{method}.json"
    return _read(own if (_folder() / own).exists() else f"chassis/rpc/{method}.json")


def _read(path: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((_folder() / path).read_text())
    return read


def _folder() -> Path:
    for folder in Path(__file__).resolve().parents:
        if (folder / "contracts" / "gateway").is_dir():
            return folder / "contracts"
    raise FileNotFoundError("no contracts/ above the chassis: run the tests in a checkout")
