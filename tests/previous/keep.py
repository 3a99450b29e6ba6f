"""Keep what the messages of this release look like, for the tests of the next: ``python tests/previous/keep.py``."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
CONTRACTS = HERE.parent.parent / "contracts"


def keep(contracts: Path = CONTRACTS, folder: Path = HERE) -> None:
    """Write `events.json` and `requests.json` from the contracts: each message's example, by its name."""
    events = {
        f"{file.parent.parent.name}.{file.name.removesuffix('.example.json')}": json.loads(file.read_text())
        for file in sorted(contracts.glob("*/events/*.example.json"))
    }
    requests = {
        f"{file.parent.parent.name}.{file.stem}": json.loads(file.read_text())["example"]["request"]
        for file in sorted(contracts.glob("*/rpc/*.json"))
    }
    for name, found in (("events.json", events), ("requests.json", requests)):
        (folder / name).write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    keep()
