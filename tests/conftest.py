"""The store in both modes, started once for all journeys that leave it running."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store import Store

from chassis.local_servers import temporary_folder


@pytest.fixture(scope="session")
def folders() -> Iterator[Path]:
    with temporary_folder("journeys") as folder:
        yield folder


#: All journeys come from one address; what they get wrong must not stop the next.
_PATIENT = {"CREDITS_CLAIM_FAILURES": "1000000", "ACCOUNTS_SIGN_IN_FAILURES": "1000000"}


@pytest.fixture(scope="session")
def embedded_store(folders: Path) -> Iterator[Store]:
    store = Store(folders / "embedded", "run", environment=_PATIENT).start()
    yield store
    store.close()


@pytest.fixture(scope="session")
def services_store(folders: Path, amqp_uri: str, postgres_url: Callable[[str], str]) -> Iterator[Store]:
    """Every service, two gateways and two of payments, on the real broker and database."""
    store = Store(
        folders / "services", "services", ("--restart-after", "12", "--scale", "payments=2", "--scale", "gateway=2"),
        {**_PATIENT, "AMQP_URI": amqp_uri, "DATABASE_URL": postgres_url("postgres"), "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    store.start()
    yield store
    store.close()


@pytest.fixture(params=["embedded", "services"])
def store(request: pytest.FixtureRequest) -> Store:
    """The test runs once in each mode."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found
