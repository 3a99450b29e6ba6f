"""``python -m benchmarks [--only rpc|outbox|checkout|latency|profile] [--quick]``"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import machine, report
from benchmarks.children import BenchmarkError
from benchmarks.outbox import measure as outbox
from benchmarks.rpc import measure as rpc
from benchmarks.store import measure as store
from benchmarks.store import profile
from chassis.local_servers import PrivatePostgres, PrivateRabbit, ServerError, ensure_installed, temporary_folder

PARTS = ("rpc", "outbox", "checkout", "latency")
#: Only when asked for: sampling makes everything slower.
PROFILE = "profile"
_RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    """Measure what is asked for and print it; 1 if anything went wrong."""
    options = _options()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        ensure_installed()
        with ExitStack() as stack:
            results = _measure(stack, [options.only] if options.only else PARTS, options.quick)
    except (BenchmarkError, ServerError) as problem:
        sys.stderr.write(f"\nNO RESULT, something went wrong: {problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nNO RESULT: stopped\n")
        return 1
    if options.only == PROFILE:
        return 0
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _measure(stack: ExitStack, parts: tuple[str, ...] | list[str], quick: bool) -> dict[str, Any]:
    """All figures, for `latest.json`; each table is printed as soon as it stands."""
    busy = machine.busy()
    folder = stack.enter_context(temporary_folder("benchmarks"))
    rabbit = PrivateRabbit(folder / "rabbitmq")
    stack.callback(rabbit.stop)
    _say("starting a private RabbitMQ")
    rabbit.start()
    results: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{machine.describe(rabbit)}; {busy:.0f} % busy before the run",
        "quick": quick,
    }
    print(results["machine"], flush=True)
    if "rpc" in parts:
        rates = rpc.measure(rabbit.uri, folder, quick, _say)
        results["rpc"] = rates
        print(report.rpc(rates), flush=True)
    if not set(parts) - {"rpc"}:
        return results
    postgres = PrivatePostgres(folder / "postgresql")
    stack.callback(postgres.stop)
    _say("starting a private PostgreSQL")
    postgres.start()
    if "outbox" in parts:
        events = outbox.measure(rabbit, postgres, folder, quick, _say)
        results["outbox"] = asdict(events)
        print(report.outbox(events), flush=True)
    if "checkout" in parts or "latency" in parts:
        _say("starting the store")
        checkouts, followed = _checkouts(folder, rabbit, postgres, parts, quick)
        results["checkout"], results["latency"] = report.plain(checkouts), report.plain(followed)
        print(report.store(checkouts, followed), flush=True)
    if PROFILE in parts:
        print(_profile(folder, rabbit, postgres), flush=True)
    return results


def _profile(folder: Path, rabbit: PrivateRabbit, postgres: PrivatePostgres) -> str:
    """Where the time goes, as a table. No figure of a run that is sampled is one to keep."""
    _say("starting the store")
    with store.shop(folder / "store", rabbit, postgres, profile.CONCURRENCY) as shop:
        _say(f"{profile.CHECKOUTS} checkouts, {profile.CONCURRENCY} at once, while every process is sampled")
        return profile.table(profile.profile(shop, folder))


def _checkouts(
    folder: Path, rabbit: PrivateRabbit, postgres: PrivatePostgres, parts: tuple[str, ...] | list[str], quick: bool
) -> tuple[store.Batches, store.Batches]:
    """Batches for throughput and for latency. They count only once the store has stopped and every mail is counted."""
    checkouts: store.Batches = {}
    followed: store.Batches = {}
    with store.shop(folder / "store", rabbit, postgres, max(store.CHECKOUTS)) as shop:
        if "checkout" in parts:
            checkouts = store.measure(shop, store.CHECKOUTS, False, quick, _say)
        if "latency" in parts:
            followed = store.measure(shop, store.FOLLOWED, True, quick, _say)
    return checkouts, followed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast Punchcard is, as tables.")
    parser.add_argument("--only", choices=(*PARTS, PROFILE), help="one part of it (default: all but the profile)")
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it works, no figures to quote")
    return parser.parse_args()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(f"… {text}\n")


if __name__ == "__main__":
    raise SystemExit(main())
