"""Has the maker make events and asks the taker when each was there: ``ours_client COUNT FIRST PAUSE_MS``.

Prints the seconds from before the first commit to after the last effect, and the delay of each event.
"""

from __future__ import annotations

import sys
import time

from benchmarks.outbox import load
from chassis.rpc import RpcClient


def main() -> None:
    """Measure and report."""
    count, first, pause_ms = load.count(), int(sys.argv[2]), int(sys.argv[3])
    client = RpcClient(load.uri(), "benchmark")
    wanted = {"first": first, "count": count, "what": load.WHAT, "pause_ms": pause_ms}
    made = client.call("maker", "make", wanted, timeout_s=load.TIMEOUT_S)["times"]
    taken: list[float] = []
    while not taken:
        time.sleep(0.1)  # asked seldom, so as not to disturb
        taken = client.call("taker", "taken", {"first": first, "count": count}, timeout_s=load.TIMEOUT_S)["times"]
    client.stop()
    delays = [there - committed for there, committed in zip(taken, made[1:], strict=True)]
    load.report({"seconds": max(taken) - made[0], "delays_s": delays})


if __name__ == "__main__":
    main()
