"""The producing service as its own process, run as every service of the store is."""

from __future__ import annotations

from chassis.runner import run

if __name__ == "__main__":
    run("maker", on_started=lambda: print("ready", flush=True))
