"""What the store asks of the catalogue, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.bootstrap import App
from catalog.settings import Settings
from catalog.use_cases.get_product import get_product
from catalog.use_cases.get_terms import get_terms
from catalog.use_cases.import_catalogue import demo_catalogue, import_catalogue
from catalog.use_cases.list_categories import list_categories
from catalog.use_cases.list_products import list_products
from catalog.use_cases.price_lines import price_lines
from chassis.testing import round_trips
from kernel.errors import Kind, Refusal


def listed(app: App, **asked: Any) -> list[str]:
    return [item["sku"] for item in list_products(app, **asked)["items"]]


@pytest.fixture
def demo(app: App) -> App:
    import_catalogue(app, demo_catalogue())
    return app


def test_the_category_tree_is_shown_in_the_order_of_the_file(demo: App) -> None:
    items = list_categories(demo)["items"]
    assert [(item["slug"], item["parent"]) for item in items] == [
        ("support", None), ("hourly-support", "support"), ("support-contracts", "support"),
        ("software", None), ("licences", "software"), ("hardware", None), ("appliances", "hardware"),
    ]  # fmt: skip
    assert items[1] == {"slug": "hourly-support", "name": "Hourly Support", "parent": "support", "default": True}


def test_a_category_includes_its_sub_categories(demo: App) -> None:
    assert listed(demo, category="hourly-support") == ["HOURLY-120", "HOURLY-300", "HOURLY-600"]
    assert listed(demo, category="support") == [
        "CONTRACT-PREMIUM", "CONTRACT-STANDARD", "HOURLY-120", "HOURLY-300", "HOURLY-600"
    ]  # fmt: skip
    assert listed(demo, category="software") == ["LICENCE-BACKUP", "LICENCE-CLUSTER"]


@pytest.mark.parametrize("category", ["toys", "Support", "sup%", ""])
def test_an_unknown_category_is_not_found(demo: App, category: str) -> None:
    with pytest.raises(Refusal) as refused:
        list_products(demo, category=category)
    assert refused.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("limit", [1, 2, 4, 8, 9, 100])
def test_pages_hold_every_product_once(demo: App, limit: int) -> None:
    found: list[str] = []
    cursor = None
    while True:
        answer = list_products(demo, limit=limit, cursor=cursor)
        assert len(answer["items"]) <= limit
        found += [item["sku"] for item in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert found == listed(demo, limit=100)
    assert len(found) == 9


def test_pages_keep_to_the_category(demo: App) -> None:
    first = list_products(demo, category="support", limit=4)
    rest = list_products(demo, category="support", limit=4, cursor=first["next"])
    assert [item["sku"] for item in rest["items"]] == ["HOURLY-600"]
    assert rest["next"] is None


def test_what_is_not_on_sale_is_shown_by_its_sku_only(app: App, sound: str) -> None:
    import_catalogue(app, sound.replace("kind: hardware", "kind: hardware\n    active: false"))
    assert listed(app) == ["PACK"]
    assert get_product(app, sku="BOX")["active"] is False


def test_a_product_is_shown_with_all_its_prices(demo: App) -> None:
    product = get_product(demo, sku="HOURLY-300")
    assert product["price"] == {"amount_minor": 57000, "currency": "USD"}
    assert product["prices"] == [
        {"amount_minor": 52800, "currency": "EUR"}, {"amount_minor": 57000, "currency": "USD"}
    ]  # fmt: skip
    in_euros = get_product(App(demo.database, Settings(currency="EUR")), sku="HOURLY-300")
    assert in_euros["price"] == {"amount_minor": 52800, "currency": "EUR"}
    in_pounds = get_product(App(demo.database, Settings(currency="GBP")), sku="HOURLY-300")
    assert in_pounds["price"]["currency"] == "EUR"


def test_a_contract_says_for_how_long_it_runs_and_a_pack_for_how_long_its_credits_are_good(
    app: App, sound: str
) -> None:
    changed = sound.replace("    credits: 120\n", "    credits: 120\n    credits_valid_days: 90\n")
    changed = changed.replace("kind: hardware", "kind: contract\n    needs_deployment: true")
    import_catalogue(app, changed)
    pack, contract = get_product(app, sku="PACK"), get_product(app, sku="BOX")
    assert (pack["term_months"], pack["credits_valid_days"]) == (None, 90)
    assert (contract["term_months"], contract["credits_valid_days"]) == (12, None)
    import_catalogue(app, changed.replace("kind: contract\n", "kind: contract\n    term_months: 36\n"))
    [line] = price_lines(app, skus=["BOX"], currency="USD")["items"]
    assert (line["term_months"], line["credits_valid_days"]) == (36, None)


def test_an_unknown_product_is_not_found(demo: App) -> None:
    with pytest.raises(Refusal) as refused:
        get_product(demo, sku="hourly-120")
    assert refused.value.kind is Kind.NOT_FOUND


def test_lines_are_priced_in_one_statement(demo: App) -> None:
    with round_trips(demo.database) as statements:
        answer = price_lines(demo, skus=["HOURLY-120", "LICENCE-BACKUP", "HOURLY-120"], currency="EUR")
    assert len([statement for statement in statements if "SELECT" in statement]) == 1
    assert answer == {
        "items": [
            {"sku": "HOURLY-120", "name": "Hourly support, 120 credits", "kind": "credit_pack", "credits": 120,
             "needs_deployment": False, "max_quantity": 100, "term_months": None, "credits_valid_days": None,
             "unit_price": {"amount_minor": 22200, "currency": "EUR"}},
            {"sku": "LICENCE-BACKUP", "name": "Backup licence", "kind": "licence", "credits": 0,
             "needs_deployment": True, "max_quantity": 10, "term_months": None, "credits_valid_days": None,
             "unit_price": {"amount_minor": 38900, "currency": "EUR"}},
        ],
        "terms_version": "2026-11",
    }  # fmt: skip


def test_lines_that_cannot_be_sold_are_left_out(app: App, sound: str) -> None:
    old = "  - {sku: OLD, name: Old, description: Old., category: hardware, kind: hardware, active: false,"
    text = sound.replace("terms:\n", old + ' prices: [{currency: USD, amount: "1.00"}]}\nterms:\n')
    import_catalogue(app, text)
    every = ["PACK", "BOX", "OLD", "NO-SUCH", "pack", "", "' OR 1=1 --"]
    assert [item["sku"] for item in price_lines(app, skus=every, currency="USD")["items"]] == ["BOX", "PACK"]
    assert [item["sku"] for item in price_lines(app, skus=every, currency="EUR")["items"]] == ["PACK"]


@pytest.mark.parametrize("skus", [[], ["NO-SUCH"]])
def test_the_terms_are_named_even_where_nothing_is_sold(demo: App, skus: list[str]) -> None:
    assert price_lines(demo, skus=skus, currency="USD") == {"items": [], "terms_version": "2026-11"}


def test_an_empty_catalogue_answers(app: App) -> None:
    assert list_categories(app) == {"items": []}
    assert list_products(app) == {"items": [], "next": None}
    assert price_lines(app, skus=["PACK"], currency="USD") == {"items": [], "terms_version": None}
    with pytest.raises(Refusal) as refused:
        get_terms(app)
    assert refused.value.kind is Kind.NOT_FOUND
