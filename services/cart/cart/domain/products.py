"""What cart knows of a product and of a deployment; catalog and accounts own them."""

from __future__ import annotations

from dataclasses import dataclass

from kernel.money import Money


@dataclass(frozen=True, slots=True)
class Product:
    """A product as catalog sold it when it was last asked.

    Args:
        sku: its name for programs.
        name: its name for people.
        kind: credit_pack, contract, licence or hardware.
        credits: credits that one piece brings; 0 if none.
        needs_deployment: whether a line of it must name a deployment.
        max_quantity: pieces of it on one line at most.
        unit_price: for one piece.
        term_months: of a contract, for how long it runs; None for what has no term, or was not asked.
        credits_valid_days: for how long its credits can be used; 0 for ever; None: as the store has it, or not asked.
    """

    sku: str
    name: str
    kind: str
    credits: int
    needs_deployment: bool
    max_quantity: int
    unit_price: Money
    term_months: int | None = None
    credits_valid_days: int | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment that the caller may see.

    Args:
        id: accounts' id of it.
        active: False once it is retired: nothing can be bound to it any more.
    """

    id: str
    active: bool
