"""``python -m benchmarks.compare OTHER [--rounds 5]``: what a checkout costs here and in another checkout, in turns.

Whatever else a machine does at the time makes everything on it slower, so figures of two sessions say little about two
versions. Here both stores are open at once, each with a broker and a database of its own, and have batches in turns.

Each checkout (this one, and the folder OTHER) needs a virtual environment of its own in ``.venv``: `make .venv/.dev`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

_CLIENTS, _CHECKOUTS = 32, 320
#: They stand for others, or measure: see `README.md`.
_NOT_THE_STORE = ("provider", "mailbox", "load")
_ROOT = Path(__file__).parent.parent


def main() -> int:
    """Compare, and print the medians of CPU time by process and of the rate, and every run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="Two checkouts in turns.")
    parser.add_argument("other", type=Path, help="the folder of another checkout")
    parser.add_argument("--rounds", type=int, default=5, help="batches of each")
    options = parser.parse_args()
    folders = [options.other.resolve(), _ROOT]
    runs: list[list[dict[str, Any]]] = [[], []]
    with ExitStack() as stack:
        stores = [stack.enter_context(_opened(folder)) for folder in folders]
        for number in range(options.rounds):
            for turn in (0, 1) if number % 2 == 0 else (1, 0):
                runs[turn].append(_batch(stores[turn]))
    print(_table([str(folder) for folder in folders], runs))
    return 0


@contextmanager
def _opened(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has a store of a checkout open, and warm."""
    process = subprocess.Popen(
        [folder / ".venv/bin/python", __file__, "--serve"], cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise SystemExit(f"no store could be opened in {folder}")
        yield process
    finally:
        process.stdin.close()  # it stops its servers, and counts its mails
        if process.wait():
            sys.stderr.write(f"something went wrong in {folder}\n")


def _batch(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit("a batch went wrong: no result")
    run: dict[str, Any] = json.loads(answer)
    return {**run, "store": sum(spent for name, spent in run["cpu_ms"].items() if name not in _NOT_THE_STORE)}


def _serve() -> int:
    """In the other process, with the modules of its checkout: a batch for each line that comes."""
    from benchmarks.store import measure
    from chassis.local_servers import PrivatePostgres, PrivateRabbit, temporary_folder

    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("compare"))
        rabbit, postgres = PrivateRabbit(folder / "rabbitmq"), PrivatePostgres(folder / "postgresql")
        for server in (rabbit, postgres):
            stack.callback(server.stop)
            server.start()
        shop = stack.enter_context(measure.shop(folder / "store", rabbit, postgres, _CLIENTS))
        print("ready", flush=True)
        for _ in sys.stdin:
            batch = shop.batch(_CLIENTS, _CHECKOUTS)
            spent = {name: seconds * 1000 for name, seconds in batch.cpu_s.items()}
            print(json.dumps({"rate": batch.rate, "cpu_ms": spent}), flush=True)
    return 0


def _table(names: list[str], runs: list[list[dict[str, Any]]]) -> str:
    rows = [(name, [[run["cpu_ms"].get(name, 0.0) for run in each] for each in runs]) for name in runs[1][0]["cpu_ms"]]
    rows += [(name, [[run[name] for run in each] for each in runs]) for name in ("store", "rate")]
    lines = [f"{'median of a checkout, CPU ms':30}{'other':>8}{'here':>8}"]
    lines += [f"{name:30}" + "".join(f"{statistics.median(each):8.2f}" for each in values) for name, values in rows]
    for name, each in zip(names, runs, strict=True):
        every = " ".join(format(run["store"], ".1f") for run in each)
        lines.append(f"{name}: {every} ms")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(_serve() if sys.argv[1:] == ["--serve"] else main())
