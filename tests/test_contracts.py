"""What one service says is what another understands, without either importing the other."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chassis.service import Consume, entrypoints, load
from chassis.testing import event_example
from punchcard.contracts import differences, generate
from punchcard.parts import SERVICES

CONTRACTS = Path(__file__).parent.parent / "contracts"


def consumers() -> list[tuple[str, Consume]]:
    return [(name, entrypoint) for name in SERVICES for entrypoint in entrypoints(load(name), Consume).values()]


def test_the_checked_in_contracts_are_what_the_code_says() -> None:
    assert differences(CONTRACTS) == []


@pytest.mark.parametrize(("service", "consumer"), consumers(), ids=lambda value: str(getattr(value, "event", value)))
def test_every_consumer_understands_the_producers_example(service: str, consumer: Consume) -> None:
    loaded = consumer.schema.load(event_example(consumer.event))
    assert loaded, f"{service} reads nothing of {consumer.event}"


def test_every_event_has_a_consumer_or_is_a_broadcast() -> None:
    consumed = {consumer.event for _, consumer in consumers()}
    for name in SERVICES:
        for event in import_module(f"{name}.messages").EVENTS:
            assert event.name in consumed or not event.must_route, f"nobody listens to {event.name}"


def test_every_example_fits_its_json_schema() -> None:
    import json

    files = generate()
    for path, text in files.items():
        if path.endswith(".example.json"):
            schema = json.loads(files[path.replace(".example.", ".schema.")])
            jsonschema.validate(json.loads(text), schema)
        elif "/rpc/" in path:
            contract: dict[str, Any] = json.loads(text)
            for part in ("request", "reply"):
                jsonschema.validate(contract["example"][part], contract[part])
