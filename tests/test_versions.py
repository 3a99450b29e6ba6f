"""Two versions of the store run at the same time: during each upgrade, and whenever something old is replayed.

`tests/previous` holds an example of every message of the release before this one (CONTRIBUTING, "When a message
changes").
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from chassis.messages import load_request
from chassis.service import Consume, Rpc, entrypoints, load
from chassis.testing import event_example
from kernel.errors import Refusal
from punchcard.parts import SERVICES

PREVIOUS = Path(__file__).parent / "previous"
EVENTS: dict[str, Any] = json.loads((PREVIOUS / "events.json").read_text())
REQUESTS: dict[str, Any] = json.loads((PREVIOUS / "requests.json").read_text())


def of_all_services(kind: type) -> Iterator[tuple[str, Any]]:
    """Every entrypoint of that kind with its service's name."""
    for name in SERVICES:
        for method, entrypoint in entrypoints(load(name), kind).items():
            yield f"{name}.{method}", entrypoint


HANDLERS = dict(of_all_services(Consume))
METHODS = dict(of_all_services(Rpc))


def with_more(value: Any) -> Any:
    """`value` as a later version might send it: with a field that nobody knows in every object but money."""
    if isinstance(value, dict) and value.keys() != {"amount_minor", "currency"}:
        return {**{key: with_more(each) for key, each in value.items()}, "of_a_later_version": "more"}
    return [with_more(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("handler", HANDLERS)
def test_events_of_the_previous_version_are_understood(handler: str) -> None:
    event = HANDLERS[handler].event
    if event in EVENTS:  # else it is new, and no earlier version can have sent it
        assert HANDLERS[handler].schema.load(deepcopy(EVENTS[event]))


@pytest.mark.parametrize("handler", HANDLERS)
def test_events_of_a_later_version_are_understood(handler: str) -> None:
    consumer = HANDLERS[handler]
    example = event_example(consumer.event)
    assert "of_a_later_version" not in consumer.schema.load(with_more(example))


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_field_that_need_not_be_there_is_not_missed(handler: str) -> None:
    consumer = HANDLERS[handler]
    example = event_example(consumer.event)
    optional = [name for name, field in consumer.schema.fields.items() if not field.required and name in example]
    for name in optional:
        assert consumer.schema.load({key: value for key, value in example.items() if key != name})


@pytest.mark.parametrize("method", REQUESTS)
def test_requests_of_the_previous_version_are_taken(method: str) -> None:
    """By the service; a method of the chassis by every one."""
    service, _, name = method.partition(".")
    for each in SERVICES if service == "chassis" else (service,):
        assert f"{each}.{name}" in METHODS, f"{method} is gone; callers of the previous version still ask for it"
        load_request(METHODS[f"{each}.{name}"].request, deepcopy(REQUESTS[method]))


def test_a_request_of_a_later_version_is_refused_not_misread() -> None:
    """A field that is not known may be what the caller counts on: services are upgraded before those who call them."""
    for name, method in METHODS.items():
        with pytest.raises(Refusal) as refused:
            load_request(method.request, {**REQUESTS.get(name, {}), "of_a_later_version": 1})
        assert "of_a_later_version" in {error["field"] for error in refused.value.errors}
