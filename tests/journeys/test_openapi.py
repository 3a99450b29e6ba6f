"""Requests that nobody thought of, made by schemathesis from the OpenAPI document that the store serves.

Whatever is sent, right or wrong, is answered as documented: no 5xx, and no status, content type or body that the
document does not know. ``API_EXAMPLES=200`` tries longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from store import Store

pytestmark = pytest.mark.journey

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
_EXAMPLES = int(os.environ.get("API_EXAMPLES", "4"))
#: Hardly a request of these is right, and all of them come from one address.
_PATIENT = {f"{name}_FAILURES": "1000000" for name in ("CREDITS_CLAIM", "ACCOUNTS_SIGN_IN")}

OPERATIONS = [
    found.ok()
    for found in schemathesis.openapi.from_path(
        Path(__file__).parents[2] / "contracts" / "gateway" / "openapi.json"
    ).get_all_operations()
]


@pytest.fixture(scope="module")
def asked(folders: Path) -> Iterator[Store]:
    """A store of its own: what is sent here may change anything."""
    store = Store(folders / "asked", "run", environment=_PATIENT).start()
    yield store
    store.close()


@pytest.fixture(scope="module")
def customer(asked: Store) -> dict[str, str]:
    """An admin by an API key, which no sign-out ends."""
    return {"Authorization": f"Bearer {asked.demo['api_keys'][0]['key']}"}


@pytest.fixture(scope="module")
def clerk(asked: Store) -> dict[str, str]:
    return {"Authorization": asked.client("fay@punchcard.example").http.headers["Authorization"]}


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
@pytest.mark.parametrize("label", [operation.label for operation in OPERATIONS])
def test_every_request_is_answered_as_documented(
    label: str, right: bool, asked: Store, customer: dict[str, str], clerk: dict[str, str]
) -> None:
    operation = next(operation for operation in OPERATIONS if operation.label == label)
    if label == "DELETE /v1/sessions/current":
        return  # it would end the clerk's
    who = clerk if operation.definition.raw.get("x-for-staff") else customer
    mode = GenerationMode.POSITIVE if right else GenerationMode.NEGATIVE

    @settings(max_examples=_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=asked.base_url, headers=who, checks=_CHECKS)

    try:
        answered()
    except Unsatisfiable:
        assert not right, f"no right request of {label} can be made"  # nothing of it can be wrong
