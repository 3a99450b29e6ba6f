"""Tables and queries. It only stores; what may be stored is decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from chassis.persistence import Reader, Row, Statement, Transaction, UtcDateTimeColumn, add_messaging_tables
from chassis.persistence.paging import page
from chassis.persistence.statements import any_of

METADATA = sa.MetaData()

CATEGORY = sa.Table(
    "category",
    METADATA,
    sa.Column("slug", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("parent", sa.String(64), sa.ForeignKey("category.slug")),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    # A category that the newest file does not name stays for the retired products in it, and is not shown.
    sa.Column("active", sa.Boolean, nullable=False),
)

PRODUCT = sa.Table(
    "product",
    METADATA,
    sa.Column("sku", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("category", sa.String(64), sa.ForeignKey("category.slug"), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("credits", sa.Integer, nullable=False),
    sa.Column("needs_deployment", sa.Boolean, nullable=False),
    sa.Column("needs_contract", sa.Boolean, nullable=False),
    sa.Column("max_quantity", sa.Integer, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("term_months", sa.Integer),
    sa.Column("credits_valid_days", sa.Integer),
    sa.CheckConstraint("term_months > 0", name="product_term_months"),
    sa.CheckConstraint("credits_valid_days >= 0", name="product_credits_valid_days"),
    sa.CheckConstraint("kind IN ('credit_pack', 'contract', 'licence', 'hardware')", name="product_kind"),
    sa.CheckConstraint("credits >= 0", name="product_credits"),
    sa.CheckConstraint("max_quantity > 0", name="product_max_quantity"),
)

PRICE = sa.Table(
    "price",
    METADATA,
    sa.Column("sku", sa.String(64), sa.ForeignKey("product.sku"), primary_key=True),
    sa.Column("currency", sa.String(3), primary_key=True),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.CheckConstraint("amount_minor >= 0", name="price_amount_minor"),
)

TERMS = sa.Table(
    "terms",
    METADATA,
    sa.Column("version", sa.String(32), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("published_at", UtcDateTimeColumn, nullable=False, index=True),
)

TAX_RATE = sa.Table(
    "tax_rate",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("country", sa.String(2), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # empty: the rest of the country
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("rate_ppm", sa.Integer, nullable=False),
    sa.Column("valid_from", sa.Date, nullable=False),
    sa.Column("valid_until", sa.Date),
    sa.UniqueConstraint("country", "state", "valid_from", name="tax_rate_one_begins_a_day"),
    sa.CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name="tax_rate_ppm"),
    sa.CheckConstraint("valid_until >= valid_from", name="tax_rate_ends_after_it_begins"),
)

add_messaging_tables(METADATA)

#: Names the lock that imports take: "ctlg" in ASCII.
_IMPORT_LOCK = 0x63746C67


# -- what the store asks --------------------------------------------------------------------------------------------


def shown_categories(reader: Reader) -> Sequence[Row]:
    """The categories in the order of the file."""
    return reader.all(sa.select(CATEGORY).where(CATEGORY.c.active).order_by(CATEGORY.c.position))


def category_is_shown(reader: Reader, slug: str) -> bool:
    """Whether there is such a category."""
    return bool(reader.scalar(sa.select(CATEGORY.c.slug).where(CATEGORY.c.slug == slug, CATEGORY.c.active)))


def products_on_sale(
    reader: Reader, category: str | None, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """A page of active products by SKU, with the cursor of the next page.

    Args:
        reader: where to ask.
        category: only those in it or in a sub-category of it.
        limit: rows at most.
        cursor: what the page before gave.
    """
    select = sa.select(PRODUCT).where(PRODUCT.c.active)
    if category is not None:
        below = sa.select(CATEGORY.c.slug).where(CATEGORY.c.parent == category, CATEGORY.c.active)
        select = select.where(sa.or_(PRODUCT.c.category == category, PRODUCT.c.category.in_(below)))
    return page(reader, select, PRODUCT.c.sku, limit, cursor, newest_first=False)


def product(reader: Reader, sku: str) -> Row | None:
    """A product, active or not."""
    return reader.one(sa.select(PRODUCT).where(PRODUCT.c.sku == sku))


def prices_of(reader: Reader, skus: Iterable[str]) -> dict[str, dict[str, int]]:
    """The prices of products, in minor units by SKU and currency."""
    select = sa.select(PRICE).where(PRICE.c.sku.in_(list(skus))).order_by(PRICE.c.currency)
    return _by_sku(reader.all(select))


def sold_lines(reader: Reader, skus: Iterable[str], currency: str) -> tuple[Sequence[Row], str | None]:
    """What a checkout must know of products, and the version of the terms in force, in one statement.

    Returns:
        The active products among `skus` that have a price in `currency`, by SKU; the terms' version.
    """
    rows = reader.all(_SOLD_LINES, skus=list(skus), wanted_currency=currency, now=reader.now)
    return [row for row in rows if row["sku"] is not None], rows[0]["terms_version"]


def tax_rate(reader: Reader, country: str, state: str, on: date) -> Row | None:
    """The tax on sales there on a day: the state's, or that of the rest of the country; None if there is none."""
    return reader.one(
        sa.select(TAX_RATE)
        .where(
            TAX_RATE.c.country == country,
            TAX_RATE.c.state.in_(["", state]),
            TAX_RATE.c.valid_from <= on,
            sa.or_(TAX_RATE.c.valid_until.is_(None), TAX_RATE.c.valid_until >= on),
        )
        .order_by(TAX_RATE.c.state.desc())
        .limit(1)
    )


def terms_in_force(reader: Reader) -> Row | None:
    """The terms that were published last."""
    return reader.one(_terms_in_force(reader.now, *TERMS.c))


def _terms_in_force(now: Any, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    published = sa.select(*columns).where(TERMS.c.published_at <= now)
    return published.order_by(TERMS.c.published_at.desc(), TERMS.c.version.desc()).limit(1)


def _sold_lines() -> sa.Select[Any]:
    now = sa.bindparam("now", type_=UtcDateTimeColumn)
    terms = sa.select(_terms_in_force(now, TERMS.c.version).scalar_subquery().label("terms_version")).subquery()
    sold = (
        sa.select(PRODUCT, PRICE.c.amount_minor, PRICE.c.currency)
        .join(PRICE, PRICE.c.sku == PRODUCT.c.sku)
        .where(any_of(PRODUCT.c.sku, "skus"), PRODUCT.c.active, PRICE.c.currency == sa.bindparam("wanted_currency"))
        .subquery()
    )
    # The join keeps the terms' row even where nothing is sold.
    return sa.select(terms, sold).select_from(terms.outerjoin(sold, sa.true())).order_by(sold.c.sku)


_SOLD_LINES = Statement(_sold_lines())


# -- what an import asks and writes ---------------------------------------------------------------------------------


def lock_for_import(transaction: Transaction) -> None:
    """Let one import at a time look and write; the next one sees what this one did."""
    if not transaction.is_sqlite:
        transaction.execute(sa.select(sa.func.pg_advisory_xact_lock(_IMPORT_LOCK)))


def stored_categories(reader: Reader) -> dict[str, dict[str, Any]]:
    """Every category by slug."""
    return {row["slug"]: dict(row) for row in reader.all(sa.select(CATEGORY))}


def stored_products(reader: Reader) -> dict[str, dict[str, Any]]:
    """Every product by SKU, with `prices`: minor units by currency."""
    prices = _by_sku(reader.all(sa.select(PRICE)))
    rows = reader.all(sa.select(PRODUCT))
    return {row["sku"]: {**row, "prices": prices.get(row["sku"], {})} for row in rows}


def stored_terms(reader: Reader) -> dict[str, dict[str, Any]]:
    """Every version of the terms."""
    return {row["version"]: dict(row) for row in reader.all(sa.select(TERMS))}


def stored_tax_rates(reader: Reader) -> dict[str, dict[str, Any]]:
    """Every tax rate by its id."""
    return {row["id"]: dict(row) for row in reader.all(sa.select(TAX_RATE))}


def delete_tax_rates(transaction: Transaction, ids: Iterable[str]) -> None:
    """Forget tax rates."""
    transaction.execute(sa.delete(TAX_RATE).where(TAX_RATE.c.id.in_(sorted(ids))))


def write_tax_rates(transaction: Transaction, added: Sequence[Row], changed: Sequence[Row]) -> None:
    """Write tax rates."""
    _write(transaction, TAX_RATE, added, changed)


def write_categories(transaction: Transaction, added: Sequence[Row], changed: Sequence[Row]) -> None:
    """Write categories; a parent is there before its children."""
    _write(transaction, CATEGORY, sorted(added, key=lambda row: row["parent"] is not None), changed)


def write_products(transaction: Transaction, added: Sequence[Row], changed: Sequence[Row]) -> None:
    """Write products with exactly their `prices`."""
    _write(transaction, PRODUCT, [_without_prices(row) for row in added], [_without_prices(row) for row in changed])
    if changed:
        transaction.execute(sa.delete(PRICE).where(PRICE.c.sku == sa.bindparam("key")),
                            [{"key": row["sku"]} for row in changed])  # fmt: skip
    prices = [
        {"sku": row["sku"], "currency": currency, "amount_minor": amount_minor}
        for row in (*added, *changed)
        for currency, amount_minor in row["prices"].items()
    ]
    if prices:
        transaction.execute(sa.insert(PRICE), prices)


def write_terms(transaction: Transaction, added: Sequence[Row], changed: Sequence[Row]) -> None:
    """Write versions of the terms."""
    _write(transaction, TERMS, added, changed)


def _write(transaction: Transaction, table: sa.Table, added: Sequence[Row], changed: Sequence[Row]) -> None:
    (key,) = table.primary_key.columns
    if added:
        transaction.execute(sa.insert(table), list(added))
    if changed:
        columns: dict[str, Any] = {
            column.name: sa.bindparam(f"new_{column.name}") for column in table.columns if column is not key
        }
        update = sa.update(table).where(key == sa.bindparam("key")).values(columns)
        transaction.execute(
            update, [{"key": row[key.name], **{f"new_{name}": row[name] for name in columns}} for row in changed]
        )


def _without_prices(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "prices"}


def _by_sku(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    prices: dict[str, dict[str, int]] = {}
    for row in rows:
        prices.setdefault(row["sku"], {})[row["currency"]] = row["amount_minor"]
    return prices
