"""Requests whose answer a client insists on, while what should answer dies."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from store import Client

from chassis.testing import wait_until
from harness.faulty import FaultyStore


def new_key(rng: random.Random) -> str:
    """An Idempotency-Key."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def until_final(client: Client, path: str, body: Any, key: str, timeout_s: float = 120) -> Any:
    """The answer that is final: POST until then, as a client does whose connection or service dies."""
    answers: list[Any] = []

    def final() -> bool:
        try:
            answers.append(client.ask("POST", path, body, key=key))
        except requests.RequestException:  # the gateway itself has died
            return False
        waits = answers[-1].status_code in (202, 503) or answers[-1].json().get("code") == "idempotency_key_in_flight"
        return not waits

    wait_until(final, path, timeout_s)
    return answers[-1]


@contextmanager
def killed_once(faulty: FaultyStore, places: dict[str, str], **environment: str) -> Iterator[None]:
    """Each of the services dies in the block, once, at its place; waits for that at its end.

    Args:
        faulty: the store.
        places: by service.
        environment: more variables for the lives that end so.
    """
    before = {name: faulty.lines_of(name, f"failpoint {place}: kill") for name, place in places.items()}
    faulty.relaunch_each(
        {name: {"PUNCHCARD_FAILPOINTS": f"{place}=kill@1", **environment} for name, place in places.items()}
    )
    yield
    for name, place in places.items():
        wait_until(
            lambda name=name, place=place: faulty.lines_of(name, f"failpoint {place}: kill") > before[name],
            f"{name} to be killed at {place}", 60,
        )  # fmt: skip
