"""The contracts of a service as data: JSON Schemas and examples, written from its own marshmallow schemas.

They are checked in under ``contracts/`` and compared in CI: a change of a message shows in the diff, and consumers are
tested against the producer's examples without importing the producer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from chassis import audit_trail, timeline
from chassis.messages import EventType, dump_checked
from chassis.messaging import dead_letters, state
from chassis.service import Rpc, Service, entrypoints

#: Where the methods that every service has stand, once for all of them.
COMMON = "chassis"
_COMMON_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    **audit_trail.RPC_EXAMPLES,
    **dead_letters.RPC_EXAMPLES,
    **state.RPC_EXAMPLES,
    **timeline.RPC_EXAMPLES,
    "health": {"request": {}, "reply": {"service": "credits"}},
}


def json_schema(schema: Schema) -> dict[str, Any]:
    """A marshmallow schema as JSON Schema 2020-12, nested ones written out in place."""
    plugin = MarshmallowPlugin(schema_name_resolver=lambda _schema: "")  # a schema without a name is written in place
    APISpec("contracts", "1", "3.1.0", plugins=[plugin])
    converter: Any = plugin.converter
    described: dict[str, Any] = converter.schema2jsonschema(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def describe(
    service_class: Any, events: Iterable[EventType], rpc_examples: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """The contract files of one service, without those of the methods that every service has (`describe_common`).

    Args:
        service_class: its nameko class.
        events: what it emits.
        rpc_examples: by method, an example of the request and of the reply.

    Returns:
        File contents by path below ``contracts/``.

    Raises:
        ValidationError: an example does not fit its own schema.
        KeyError: a method has no example.
    """
    files: dict[str, str] = {}
    base = service_class.name
    for event in events:
        path = f"{base}/events/{event.routing_key}"
        files[f"{path}.schema.json"] = _text(json_schema(event.schema))
        files[f"{path}.example.json"] = _text(dump_checked(event.schema, event.schema.load(dict(event.example))))
    methods = {name: found for name, found in entrypoints(service_class, Rpc).items() if not hasattr(Service, name)}
    return files | _describe_methods(base, methods, rpc_examples)


def describe_common() -> dict[str, str]:
    """The contract files of the methods that every service has."""
    return _describe_methods(COMMON, entrypoints(Service, Rpc), _COMMON_EXAMPLES)


def _describe_methods(
    base: str, methods: Mapping[str, Rpc], examples: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    files: dict[str, str] = {}
    for method, entrypoint in methods.items():
        example = examples[method]
        entrypoint.request.load(example["request"])
        files[f"{base}/rpc/{method}.json"] = _text(
            {
                "anonymous": entrypoint.anonymous,
                "request": json_schema(entrypoint.request),
                "reply": json_schema(entrypoint.reply),
                "example": {
                    "request": example["request"],
                    "reply": dump_checked(entrypoint.reply, entrypoint.reply.load(example["reply"])),
                },
            }
        )
    return files


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
