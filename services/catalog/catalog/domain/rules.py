"""What must hold across the entries of a catalogue file, beyond the shape of each.

The rules read what passed the check of shapes: a value that is missing or of the wrong type is not there, has been
reported already, and the rules that need it hold their tongue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from catalog.domain.catalogue import KIND_RULES, Problem, ProductKind, read_percent, read_price

Entry = Mapping[str, Any]
Entries = Sequence[Entry]


def problems_of(document: Entry, *, store_currency: str, now: datetime) -> Iterator[Problem]:
    """Everything wrong with a catalogue file as such.

    Args:
        document: `categories`, `products`, `terms` and `tax_rates`, as far as they are well-formed.
        store_currency: every product must have a price in it.
        now: the terms in force are those of this moment.
    """
    categories = document.get("categories", ())
    products = document.get("products", ())
    terms = document.get("terms", ())
    yield from _doubled("categories", categories, "slug")
    yield from _doubled("products", products, "sku")
    yield from _doubled("terms", terms, "version")
    yield from _tree(categories)
    yield from _default(categories)
    slugs, parents = _slugs(categories), _parents(categories)
    for number, product in enumerate(products):
        path = f"products.{number}"
        if categories:
            yield from _place(path, product, slugs, parents)
        yield from _kind(path, product)
        yield from _prices(f"{path}.prices", product.get("prices", ()), store_currency)
    yield from _tax_rates(document.get("tax_rates", ()))
    if terms and not any("published_at" not in entry or entry["published_at"] <= now for entry in terms):
        yield Problem("terms", "None of the terms is in force: every published_at is in the future.")


def problems_with_stored(
    document: Entry, *, on_sale: Mapping[str, str], terms: Mapping[str, Entry], now: datetime
) -> Iterator[Problem]:
    """Everything wrong with a catalogue file because of what is stored already.

    Args:
        document: as in `problems_of`.
        on_sale: the category of each product that stays on sale though the file does not name it, by SKU.
        terms: the stored terms by version.
        now: terms that are in force can no longer change.
    """
    categories = document.get("categories", ())
    if categories:
        slugs, parents = _slugs(categories), _parents(categories)
        for sku, category in on_sale.items():
            if category not in slugs or category in parents:
                fate = "gives sub-categories to" if category in slugs else "leaves out"
                yield Problem(
                    "categories",
                    f"The file {fate} {category!r}, where {sku} is on sale, which the file does not name. "
                    "Name the product, or retire what is missing.",
                )
    for number, entry in enumerate(document.get("terms", ())):
        stored = terms.get(entry.get("version", ""))
        if stored is None or stored["published_at"] > now:
            continue
        for field in ("text", "published_at"):
            if field in entry and entry[field] != stored[field]:
                # Mission, clause 29: an order names the version that was agreed to, so that version must not change.
                yield Problem(f"terms.{number}.{field}", "These terms are in force. Publish a change as a new version.")


def left_on_sale(document: Entry, stored: Mapping[str, Entry]) -> dict[str, str]:
    """The category of each stored product that is on sale and that the file does not name, by SKU.

    Args:
        document: as in `problems_of`.
        stored: the stored products by SKU.
    """
    named = {entry.get("sku") for entry in document.get("products", ())}
    return {sku: row["category"] for sku, row in stored.items() if row["active"] and sku not in named}


def _doubled(what: str, entries: Entries, key: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, entry in enumerate(entries):
        value = entry.get(key)
        if value is None:
            continue
        if value in first:
            yield Problem(f"{what}.{number}.{key}", f"{value!r} is used by {what}.{first[value]} already.")
        else:
            first[value] = number


def _slugs(categories: Entries) -> set[str]:
    return {entry["slug"] for entry in categories if "slug" in entry}


def _parents(categories: Entries) -> set[str]:
    return {entry["parent"] for entry in categories if entry.get("parent") is not None}


def _tree(categories: Entries) -> Iterator[Problem]:
    parent_of = {entry["slug"]: entry.get("parent") for entry in categories if "slug" in entry}
    for number, entry in enumerate(categories):
        parent = entry.get("parent")
        if parent is None:
            continue
        if parent not in parent_of:
            yield Problem(f"categories.{number}.parent", f"There is no category {parent!r} in the file.")
        elif parent_of[parent] is not None:
            yield Problem(
                f"categories.{number}.parent", f"The tree has two levels, and {parent!r} is a sub-category itself."
            )


def _default(categories: Entries) -> Iterator[Problem]:
    parents = _parents(categories)
    marked = [number for number, entry in enumerate(categories) if entry.get("default")]
    leaves = [number for number in marked if categories[number].get("slug") not in parents]
    for number in marked:
        if number not in leaves:
            yield Problem(f"categories.{number}.default", "A category with sub-categories cannot be the default.")
        elif number != leaves[0]:
            message = f"Only one category can be the default, and categories.{leaves[0]} is already."
            yield Problem(f"categories.{number}.default", message)
    if categories and not marked and all("default" in entry for entry in categories):
        yield Problem("categories", "No category is the default. Mark the one the store opens with: default: true.")


def _place(path: str, product: Entry, slugs: set[str], parents: set[str]) -> Iterator[Problem]:
    category = product.get("category")
    if category is None:
        return
    if category not in slugs:
        yield Problem(f"{path}.category", f"There is no category {category!r} in the file.")
    elif category in parents:
        yield Problem(f"{path}.category", f"{category!r} has sub-categories. Put the product into one of them.")


def _kind(path: str, product: Entry) -> Iterator[Problem]:
    if "kind" not in product:
        return
    kind = ProductKind(product["kind"])
    rule = KIND_RULES[kind]
    credits_brought = product.get("credits")
    if credits_brought is not None and credits_brought < rule.min_credits:
        yield Problem(f"{path}.credits", f"A {kind} must bring credits.")
    if credits_brought is not None and credits_brought > rule.max_credits:
        yield Problem(f"{path}.credits", f"A {kind} brings no credits; a credit_pack or a contract does.")
    if product.get("needs_deployment", rule.needs_deployment) != rule.needs_deployment:
        must = "needs a deployment: needs_deployment: true" if rule.needs_deployment else "needs no deployment"
        yield Problem(f"{path}.needs_deployment", f"A {kind} {must}.")
    if product.get("needs_contract") and not rule.may_need_contract:
        yield Problem(f"{path}.needs_contract", f"A {kind} needs no contract.")
    if product.get("term_months") is not None and kind is not ProductKind.CONTRACT:
        yield Problem(f"{path}.term_months", f"A {kind} has no term; a contract does.")
    if product.get("credits_valid_days") is not None and credits_brought == 0:
        yield Problem(f"{path}.credits_valid_days", "This brings no credits, so say nothing of their validity.")


def _prices(path: str, prices: Entries, store_currency: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, price in enumerate(prices):
        currency = price.get("currency")
        if currency is None:
            continue
        if currency in first:
            yield Problem(f"{path}.{number}.currency", f"There is a price in {currency} already.")
        first.setdefault(currency, number)
        if "amount" in price:
            try:
                read_price(price["amount"], currency)
            except ValueError as error:
                yield Problem(f"{path}.{number}.amount", str(error))
    if prices and store_currency not in first and all("currency" in price for price in prices):
        yield Problem(path, f"There is no price in {store_currency}, the store's currency.")


def _tax_rates(rates: Entries) -> Iterator[Problem]:
    """On each day there is one rate at most for a jurisdiction."""
    spans: dict[tuple[str, str], list[tuple[date, date, int]]] = {}
    for number, rate in enumerate(rates):
        path = f"tax_rates.{number}"
        if "percent" in rate:
            try:
                read_percent(rate["percent"])
            except ValueError as error:
                yield Problem(f"{path}.percent", str(error))
        if not {"country", "state", "valid_from", "valid_until"} <= rate.keys():
            continue
        first, last = rate["valid_from"], rate["valid_until"] or date.max
        if last < first:
            yield Problem(f"{path}.valid_until", "It ends before it begins.")
            continue
        others = spans.setdefault((rate["country"], rate["state"] or ""), [])
        for other_first, other_last, other in others:
            if first <= other_last and other_first <= last:
                yield Problem(f"{path}.valid_from", f"tax_rates.{other} is valid on some of the same days.")
        others.append((first, last, number))
