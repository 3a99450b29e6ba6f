"""Imports: all or nothing, safe to repeat, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from catalog import storage
from catalog.bootstrap import App
from catalog.domain.catalogue import CatalogueInvalid
from catalog.use_cases.get_product import get_product
from catalog.use_cases.get_terms import get_terms
from catalog.use_cases.import_catalogue import Counts, demo_catalogue, import_catalogue
from catalog.use_cases.list_categories import list_categories
from catalog.use_cases.list_products import list_products
from chassis.persistence import Database
from chassis.testing import FixedClock

BOX = """\
  - sku: BOX
    name: Box
    description: A box.
    category: hardware
    kind: hardware
    prices:
      - {currency: USD, amount: "9.50"}
"""
HARDWARE = "  - slug: hardware\n    name: Hardware\n"


def everything(app: App) -> dict[str, Any]:
    with app.database.reading() as reader:
        return {
            table.name: [tuple(row) for row in reader.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in (storage.CATEGORY, storage.PRODUCT, storage.PRICE, storage.TERMS)
        }


def skus(app: App) -> list[str]:
    return [item["sku"] for item in list_products(app)["items"]]


def without(text: str, *parts: str) -> str:
    for part in parts:
        assert part in text
        text = text.replace(part, "")
    return text


def test_the_demo_catalogue_sells_what_was_promised(app: App) -> None:
    report = import_catalogue(app, demo_catalogue())
    assert report.products == Counts(added=9, changed=0, unchanged=0)
    items = list_products(app, limit=100)["items"]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        by_kind.setdefault(item["kind"], []).append(item)
    assert {kind: len(of_kind) for kind, of_kind in by_kind.items()} == {
        "credit_pack": 3, "contract": 2, "licence": 2, "hardware": 2
    }  # fmt: skip
    assert {(item["credits"], item["price"]["amount_minor"]) for item in by_kind["credit_pack"]} == {
        (120, 24000), (300, 57000), (600, 108000)
    }  # fmt: skip
    assert all(item["credits"] > 0 and item["needs_deployment"] for item in by_kind["contract"])
    assert all(item["needs_deployment"] for item in by_kind["licence"])
    assert all({price["currency"] for price in item["prices"]} == {"EUR", "USD"} for item in items)
    assert [entry["slug"] for entry in list_categories(app)["items"] if entry["default"]] == ["hourly-support"]
    assert get_terms(app)["version"] == "2026-11"


def test_an_import_can_be_repeated(app: App) -> None:
    import_catalogue(app, demo_catalogue())
    before = everything(app)
    report = import_catalogue(app, demo_catalogue(), retire_missing=True)
    assert (report.categories, report.products, report.terms) == (Counts(0, 0, 7), Counts(0, 0, 9), Counts(0, 0, 1))
    assert everything(app) == before


def test_what_the_file_changes_is_changed_and_counted(app: App, sound: str) -> None:
    import_catalogue(app, sound)
    text = sound.replace('"240.00"', '"250.00"').replace("name: Hardware", "name: Things")
    text = text.replace('      - currency: EUR\n        amount: "222.00"\n', "")
    text = text.replace("terms:\n", BOX.replace("BOX", "BOX-2") + "terms:\n")
    report = import_catalogue(app, text)
    assert report.categories == Counts(added=0, changed=1, unchanged=2)
    assert report.products == Counts(added=1, changed=1, unchanged=1)
    pack = get_product(app, sku="PACK")
    assert pack["prices"] == [{"amount_minor": 25000, "currency": "USD"}]
    assert [entry["name"] for entry in list_categories(app)["items"]] == ["Support", "Hourly", "Things"]


@pytest.mark.parametrize("retire_missing", [False, True])
@pytest.mark.parametrize("filled", [False, True])
def test_a_file_with_an_error_changes_nothing(app: App, sound: str, filled: bool, retire_missing: bool) -> None:
    if filled:
        import_catalogue(app, sound)
    before = everything(app)
    wrong = without(sound, BOX).replace("name: Pack", "name: Bundle").replace('"222.00"', "222.00")
    with pytest.raises(CatalogueInvalid) as refused:
        import_catalogue(app, wrong, retire_missing=retire_missing)
    assert [(problem.line, problem.path) for problem in refused.value.problems] == [(22, "products.0.prices.1.amount")]
    assert everything(app) == before


def test_products_that_the_file_does_not_name_stay(app: App, sound: str) -> None:
    import_catalogue(app, sound)
    report = import_catalogue(app, without(sound, BOX))
    assert report.products == Counts(added=0, changed=0, unchanged=1)
    assert skus(app) == ["BOX", "PACK"]


def test_products_that_the_file_does_not_name_are_retired_where_asked_and_come_back(app: App, sound: str) -> None:
    import_catalogue(app, sound)
    report = import_catalogue(app, without(sound, BOX, HARDWARE), retire_missing=True)
    assert report.products == Counts(added=0, changed=0, unchanged=1, retired=1)
    assert report.categories == Counts(added=0, changed=0, unchanged=2, retired=1)
    assert skus(app) == ["PACK"]
    assert get_product(app, sku="BOX")["active"] is False
    assert [entry["slug"] for entry in list_categories(app)["items"]] == ["support", "hourly"]
    assert import_catalogue(app, without(sound, BOX, HARDWARE), retire_missing=True).products.retired == 0
    assert import_catalogue(app, sound).products == Counts(added=0, changed=1, unchanged=1)
    assert skus(app) == ["BOX", "PACK"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: without(text, BOX, HARDWARE), "leaves out 'hardware', where BOX"),
        (
            lambda text: without(text, BOX).replace(
                HARDWARE, HARDWARE + "  - {slug: big, name: Big, parent: hardware}\n"
            ),
            "gives sub-categories to 'hardware', where BOX",
        ),
    ],
)
def test_a_product_that_stays_keeps_a_leaf_to_stand_in(
    app: App, sound: str, change: Callable[[str], str], words: str
) -> None:
    import_catalogue(app, sound)
    before = everything(app)
    with pytest.raises(CatalogueInvalid) as refused:
        import_catalogue(app, change(sound))
    assert [(problem.line, problem.path) for problem in refused.value.problems] == [(1, "categories")]
    assert words in refused.value.problems[0].message
    assert everything(app) == before
    assert import_catalogue(app, change(sound), retire_missing=True).products.retired == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ("Be kind.", "Be quick.", 33, "terms.0.text"),
        ("2026-11-01T", "2026-11-02T", 32, "terms.0.published_at"),
    ],
)
def test_terms_in_force_cannot_be_changed(app: App, sound: str, old: str, new: str, line: int, path: str) -> None:
    import_catalogue(app, sound)
    with pytest.raises(CatalogueInvalid) as refused:
        import_catalogue(app, sound.replace(old, new))
    assert [(problem.line, problem.path) for problem in refused.value.problems] == [(line, path)]
    assert get_terms(app)["text"] == "Be kind."


def test_errors_of_the_file_and_of_what_is_stored_are_reported_together(app: App, sound: str) -> None:
    import_catalogue(app, sound)
    with pytest.raises(CatalogueInvalid) as refused:
        import_catalogue(app, sound.replace("Be kind.", "Be quick.").replace("credits: 120", "credits: 0"))
    assert [problem.line for problem in refused.value.problems] == [16, 33]
    assert str(refused.value).splitlines()[0] == "line 16: products.0.credits: A credit_pack must bring credits."


def test_terms_are_in_force_from_their_moment_and_may_change_before(app: App, clock: FixedClock, sound: str) -> None:
    later = sound + '  - version: "2026-12"\n    published_at: 2026-12-01T00:00:00Z\n    text: Be kinder.\n'
    import_catalogue(app, later)
    assert import_catalogue(app, later.replace("Be kinder.", "Be kindest.")).terms == Counts(0, 1, 1)
    assert get_terms(app)["version"] == "2026-11"
    clock.advance(days=30)
    assert (get_terms(app)["version"], get_terms(app)["text"]) == ("2026-12", "Be kindest.")


def test_a_category_may_move_below_a_new_one(app: App, sound: str) -> None:
    import_catalogue(app, sound)
    moved = sound.replace(HARDWARE, "  - {slug: a-new, name: New}\n" + HARDWARE + "    parent: a-new\n")
    assert import_catalogue(app, moved).categories.added == 1
    assert list_products(app, category="a-new")["items"][0]["sku"] == "BOX"


def test_a_child_may_stand_before_its_parent(app: App, sound: str) -> None:
    import_catalogue(app, sound.replace("categories:\n", "categories:\n  - {slug: cables, name: C, parent: hardware}\n")
                     .replace("category: hardware", "category: cables"))  # fmt: skip
    assert list_categories(app)["items"][0]["slug"] == "cables"


def test_imports_at_once_wait_for_each_other(app: App, sound: str) -> None:
    start = threading.Barrier(4)
    reports: list[Counts] = []

    def work() -> None:
        start.wait()
        reports.append(import_catalogue(app, sound).products)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.added for report in reports) == [0, 0, 0, 2]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (storage.PRICE, {"amount_minor": -1}),
        (storage.PRODUCT, {"credits": -1}),
        (storage.PRODUCT, {"max_quantity": 0}),
        (storage.PRODUCT, {"term_months": 0}),
        (storage.PRODUCT, {"credits_valid_days": -1}),
        (storage.PRODUCT, {"kind": "gift"}),
        (storage.PRODUCT, {"category": "toys"}),
    ],
)
def test_the_database_itself_refuses_nonsense(app: App, sound: str, table: sa.Table, values: dict[str, Any]) -> None:
    import_catalogue(app, sound)
    with pytest.raises(sa.exc.IntegrityError), app.database.transaction() as transaction:
        transaction.execute(sa.update(table).values(values))


def test_the_tables_are_those_of_the_migration(migrated: Callable[..., Database]) -> None:
    database = migrated("catalog")
    inspector = sa.inspect(database.engine)
    for table in storage.METADATA.tables.values():
        stored = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        assert stored == {column.name: column.nullable for column in table.columns}
