"""The messages: their examples, and what the use cases really answer, pass their schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalog.bootstrap import App
from catalog.messages import RPC_EXAMPLES
from catalog.service import CatalogService
from catalog.settings import Settings, read
from catalog.use_cases.import_catalogue import demo_catalogue, import_catalogue
from chassis.messages import dump_checked, load_request
from chassis.service import Call, Rpc, Service
from chassis.settings import Environment, SettingsError
from chassis.testing import sqlite_database
from kernel.errors import Refusal


def entrypoint(method: str) -> Rpc:
    (found,) = getattr(CatalogService, method).nameko_entrypoints
    assert isinstance(found, Rpc)
    return found


@pytest.fixture
def service(tmp_path: Path) -> CatalogService:
    service = CatalogService()
    service.app = App(sqlite_database(tmp_path, "catalog"))
    import_catalogue(service.app, demo_catalogue())
    return service


def test_every_method_has_an_example_and_is_open_to_all() -> None:
    methods = {
        name
        for name in set(dir(CatalogService)) - set(dir(Service))
        if any(isinstance(found, Rpc) for found in getattr(getattr(CatalogService, name), "nameko_entrypoints", ()))
    }
    assert methods == set(RPC_EXAMPLES)
    assert all(entrypoint(method).anonymous for method in methods)


@pytest.mark.parametrize("method", RPC_EXAMPLES)
def test_examples_pass_their_schemas(method: str) -> None:
    example = RPC_EXAMPLES[method]
    load_request(entrypoint(method).request, example["request"])
    loaded = entrypoint(method).reply.load(example["reply"])
    assert dump_checked(entrypoint(method).reply, loaded) == example["reply"]


@pytest.mark.parametrize("method", RPC_EXAMPLES)
def test_what_is_answered_has_the_shape_of_the_example(service: CatalogService, method: str) -> None:
    example = RPC_EXAMPLES[method]
    call = Call(load_request(entrypoint(method).request, example["request"]), None, None)
    answer = dump_checked(entrypoint(method).reply, getattr(service, method)(call))
    assert set(answer) == set(example["reply"])
    for item, shown in zip(answer.get("items", ()), example["reply"].get("items", ()), strict=False):
        assert set(item) == set(shown)


@pytest.mark.parametrize(
    ("method", "request_data", "field"),
    [
        ("list_products", {"limit": 0}, "limit"),
        ("list_products", {"limit": 101}, "limit"),
        ("list_products", {"limit": "20"}, "limit"),
        ("list_products", {"category": "a\0b"}, "category"),
        ("list_products", {"page": 2}, "page"),
        ("list_categories", {"all": True}, "all"),
        ("get_product", {}, "sku"),
        ("get_product", {"sku": 5}, "sku"),
        ("get_product", {"sku": "X" * 65}, "sku"),
        ("price_lines", {"skus": "PACK", "currency": "USD"}, "skus"),
        ("price_lines", {"skus": ["A"] * 501, "currency": "USD"}, "skus"),
        ("price_lines", {"skus": ["PACK"], "currency": "usd"}, "currency"),
    ],
)
def test_a_wrong_request_names_its_field(method: str, request_data: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as refused:
        load_request(entrypoint(method).request, request_data)
    assert [error["field"] for error in refused.value.errors] == [field]


def test_settings_come_from_the_environment() -> None:
    assert read(Environment({})) == Settings(currency="USD")
    assert read(Environment({"CATALOG_CURRENCY": "EUR"})) == Settings(currency="EUR")
    with pytest.raises(SettingsError, match="CATALOG_CURRENCY is 'EURO'"):
        read(Environment({"CATALOG_CURRENCY": "EURO"}))
