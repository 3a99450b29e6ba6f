"""The store under fault, its seeds, and how long to keep at it.

``make test`` runs each fault once, with seed 1. ``make faults SEEDS=10 SEED=7`` runs each with the seeds 7 to 16, and
those marked ``long`` as well. From pytest itself: FAULT_SEEDS, FAULT_SEED, FAULT_LONG=1.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from eventlet.patcher import is_monkey_patched
from harness.faulty import FaultyStore

from chassis.local_servers import PrivatePostgres, PrivateRabbit, ensure_installed, temporary_folder

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long ones to `make faults`."""
    if os.environ.get("FAULT_LONG") == "1":
        return
    left = [item for item in items if _HERE in item.path.parents and item.get_closest_marker("long")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_collection_finish() -> None:
    """See that no module has patched the standard library: the threads of these tests are real ones."""
    if is_monkey_patched("socket"):
        raise pytest.UsageError("a test module has imported chassis.runner, which patches the whole process")


def pytest_report_header() -> str:
    """Say which seeds, for whoever reads a log of last night."""
    return f"fault seeds: {', '.join(map(str, _seeds()))}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that wants `seed` or `rng` runs once for each seed, which its name says."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", _seeds(), ids=lambda seed: f"seed={seed}")


def _seeds() -> range:
    first, number = int(os.environ.get("FAULT_SEED", "1")), int(os.environ.get("FAULT_SEEDS", "1"))
    return range(first, first + number)


@pytest.fixture
def rng(request: pytest.FixtureRequest, seed: int) -> random.Random:
    """Where a test takes its chances from; the same for the same seed, and another for each of its parameters: they
    share a store, in which the same chances would make the same idempotency keys.
    """
    name = request.node.name
    print(f"{name}: FAULT_SEED={seed}")  # noqa: T201  # pytest shows it when the test fails
    return random.Random(f"{name}-{seed}")


@pytest.fixture(scope="session")
def fault_servers() -> Iterator[tuple[PrivateRabbit, PrivatePostgres]]:
    """A broker and a database that the tests may kill. Docker's could not be killed by their process id."""
    ensure_installed()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("faults"))
        rabbit, postgres = PrivateRabbit(folder / "rabbitmq"), PrivatePostgres(folder / "postgresql", durable=False)
        for server in (rabbit, postgres):
            stack.callback(server.stop)
            server.start()
        yield rabbit, postgres


@pytest.fixture(scope="session")
def fault_store(
    fault_servers: tuple[PrivateRabbit, PrivatePostgres], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyStore]:
    """The store that most faults share: each test leaves it whole, running and as it was.

    At the end everything is stopped, which gives what nobody has acknowledged back to its queue: no message may be
    left anywhere.
    """
    store = FaultyStore(tmp_path_factory.mktemp("store") / "store", *fault_servers)
    try:
        store.start()
        yield store
    finally:
        store.close()
    assert {queue: depth for queue, depth in store.all_depths().items() if depth} == {}


@pytest.fixture
def faulty(fault_store: FaultyStore) -> FaultyStore:
    """The shared store, once every service answers."""
    fault_store.wait_ready()
    return fault_store
