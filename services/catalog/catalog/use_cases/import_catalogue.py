"""Make the catalogue what a file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from catalog import storage
from catalog.bootstrap import App
from catalog.catalogue_file import CatalogueFile, read_file
from catalog.domain.catalogue import DEFAULT_TERM_MONTHS, CatalogueInvalid, read_percent, read_price
from catalog.domain.rules import left_on_sale, problems_with_stored
from chassis.persistence import Transaction

Rows = dict[str, dict[str, Any]]
_Write = Callable[[Transaction, Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], None]


@dataclass(frozen=True, slots=True)
class Counts:
    """What an import did to one sort of thing.

    Args:
        added: not stored before.
        changed: stored differently.
        unchanged: stored just so.
        retired: stored and active, not in the file, and no longer active; of tax rates: and no longer stored.
    """

    added: int
    changed: int
    unchanged: int
    retired: int = 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    categories: Counts
    products: Counts
    terms: Counts
    tax_rates: Counts


def demo_catalogue() -> str:
    """The text of the demo catalogue that ships with the service."""
    return (files("catalog") / "demo_catalogue.yaml").read_text(encoding="utf-8")


def import_catalogue(app: App, text: str, *, retire_missing: bool = False) -> ImportReport:
    """Import a catalogue file: all of it, or nothing. Safe to repeat.

    Args:
        app: the application.
        text: YAML or JSON, as the README describes it.
        retire_missing: whether products that the file does not name are taken off sale; otherwise they stay.

    Raises:
        CatalogueInvalid: naming every problem with its line; nothing was changed.
        Refusal: `unavailable`: the database does not answer.
    """
    file = read_file(text, store_currency=app.settings.currency, now=app.database.clock.now())
    with app.database.transaction() as transaction:
        storage.lock_for_import(transaction)
        products, terms = storage.stored_products(transaction), storage.stored_terms(transaction)
        on_sale = {} if retire_missing else left_on_sale(file.data, products)
        file.add(problems_with_stored(file.data, on_sale=on_sale, terms=terms, now=transaction.now))
        if file.problems:
            raise CatalogueInvalid(file.problems)
        return ImportReport(
            _store(transaction, storage.write_categories, _categories(file),
                   storage.stored_categories(transaction), retire=True),
            _store(transaction, storage.write_products, _products(file), products, retire=retire_missing),
            _store(transaction, storage.write_terms, _terms(file), terms, retire=False),
            _store_tax_rates(transaction, file),
        )  # fmt: skip


def _store(transaction: Transaction, write: _Write, wanted: Rows, stored: Rows, *, retire: bool) -> Counts:
    added = [row for key, row in wanted.items() if key not in stored]
    changed = [row for key, row in wanted.items() if key in stored and row != stored[key]]
    missing = [row for key, row in stored.items() if key not in wanted and row.get("active")] if retire else []
    write(transaction, added, [*changed, *({**row, "active": False} for row in missing)])
    return Counts(len(added), len(changed), len(wanted) - len(added) - len(changed), len(missing))


def _store_tax_rates(transaction: Transaction, file: CatalogueFile) -> Counts:
    """The rates are what the file says, if it says any: what an order was taxed with is kept by the order."""
    wanted, stored = _tax_rates(file), storage.stored_tax_rates(transaction)
    if "tax_rates" not in file.data:
        return Counts(0, 0, 0)
    gone = stored.keys() - wanted.keys()
    storage.delete_tax_rates(transaction, gone)
    counts = _store(transaction, storage.write_tax_rates, wanted, stored, retire=False)
    return replace(counts, retired=len(gone))


def _tax_rates(file: CatalogueFile) -> Rows:
    rates = [
        {
            "country": entry["country"],
            "state": entry["state"] or "",
            "name": entry["name"],
            "rate_ppm": read_percent(entry["percent"]),
            "valid_from": entry["valid_from"],
            "valid_until": entry["valid_until"],
        }
        for entry in file.data.get("tax_rates", ())
    ]
    by_id = {f"{rate['country']}-{rate['state']}-{rate['valid_from']}": rate for rate in rates}
    return {id_: {"id": id_, **rate} for id_, rate in by_id.items()}


def _categories(file: CatalogueFile) -> Rows:
    return {
        entry["slug"]: {
            "slug": entry["slug"],
            "name": entry["name"],
            "parent": entry["parent"],
            "is_default": entry["default"],
            "position": position,
            "active": True,
        }
        for position, entry in enumerate(file.data["categories"])
    }


def _products(file: CatalogueFile) -> Rows:
    return {
        entry["sku"]: {
            **entry,
            "term_months": entry["term_months"] or (DEFAULT_TERM_MONTHS if entry["kind"] == "contract" else None),
            "prices": {
                price["currency"]: read_price(price["amount"], price["currency"]).amount_minor
                for price in entry["prices"]
            },
        }
        for entry in file.data["products"]
    }


def _terms(file: CatalogueFile) -> Rows:
    return {entry["version"]: dict(entry) for entry in file.data["terms"]}
