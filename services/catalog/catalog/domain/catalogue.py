"""The words and limits of a catalogue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kernel.money import MINOR_DIGITS, Money

#: The dearest thing on sale, in minor units: a slip of the finger should not become a price.
MAX_PRICE_MINOR = 100_000_000
#: The most credits that one product brings.
MAX_CREDITS = 1_000_000
#: The most pieces of a product that one cart line may ask for, whatever the product says (mission, clause 5).
MAX_QUANTITY = 1_000
#: For how long a contract runs whose product does not say it, and the longest.
DEFAULT_TERM_MONTHS, MAX_TERM_MONTHS = 12, 120
#: For how long credits can be used at most, if not for ever: ten years.
MAX_VALID_DAYS = 3_650
#: How a category is named in addresses: ``hourly-support``.
SLUG = r"[a-z0-9]+(-[a-z0-9]+)*"
#: How a product is named everywhere: ``HOURLY-120``. One case only, so that no two differ by case alone.
SKU = r"[A-Z0-9]+([._-][A-Z0-9]+)*"

#: How a country is named in tax rates and addresses (ISO 3166-1), and a state or province of it.
COUNTRY = r"[A-Z]{2}"
STATE = r"[A-Z0-9]{1,10}"

_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?")
_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")


class ProductKind(StrEnum):
    """What a product is. The values travel on the bus and are stored: never rename one."""

    #: Credits to spend on tickets; 1 credit is 1 minute.
    CREDIT_PACK = "credit_pack"
    #: Support for one deployment; may bring credits.
    CONTRACT = "contract"
    #: A right of use, bound to one deployment for good.
    LICENCE = "licence"
    #: A thing in a box.
    HARDWARE = "hardware"


@dataclass(frozen=True, slots=True)
class KindRule:
    """What a kind of product may and must say of itself.

    Args:
        min_credits: the fewest credits it brings.
        max_credits: the most.
        needs_deployment: whether a deployment is chosen when it is bought; not a matter of choice.
        may_need_contract: whether it may be of use only where a contract is active.
    """

    min_credits: int
    max_credits: int
    needs_deployment: bool
    may_need_contract: bool


#: Mission, clauses 8, 11, 14 and 16: packs and contracts bring credits; contracts and licences bind to a deployment.
KIND_RULES = {
    ProductKind.CREDIT_PACK: KindRule(1, MAX_CREDITS, needs_deployment=False, may_need_contract=True),
    ProductKind.CONTRACT: KindRule(0, MAX_CREDITS, needs_deployment=True, may_need_contract=False),
    ProductKind.LICENCE: KindRule(0, 0, needs_deployment=True, may_need_contract=True),
    ProductKind.HARDWARE: KindRule(0, 0, needs_deployment=False, may_need_contract=False),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a catalogue file.

    Args:
        path: where, as ``products.3.prices.0.amount``; empty for the file as a whole.
        message: what, and what to do about it.
        line: counted from 1; 0 while it is not known.
    """

    path: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        place = f"line {self.line}: {self.path}" if self.path else f"line {self.line}"
        return f"{place}: {self.message}"


class CatalogueInvalid(Exception):  # "no" is an answer here, not a fault
    """A catalogue file that cannot be imported.

    Args:
        problems: every one of them, by line.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.path, problem.message))
        super().__init__("\n".join(map(str, self.problems)))


def read_price(amount: str, currency: str) -> Money:
    """A price as it stands in the file: a decimal with exactly the currency's digits after the point.

    Args:
        amount: ``"240.00"`` for USD, ``"240"`` for JPY.
        currency: a known one.

    Raises:
        ValueError: it is not such a decimal, it is not more than zero, or more than `MAX_PRICE_MINOR`.
    """
    digits = MINOR_DIGITS[currency]
    found = _AMOUNT.fullmatch(amount)
    if found is None or len(found[3] or "") != digits:
        example = f"240.{'0' * digits}" if digits else "240"
        raise ValueError(f'Write a {currency} amount with {digits} digits after the point, such as "{example}".')
    sign, whole, fraction = found.groups()
    price = Money(int(whole + (fraction or "")), currency)
    if sign or price.amount_minor == 0:
        raise ValueError("A price must be more than zero.")
    if price.amount_minor > MAX_PRICE_MINOR:
        raise ValueError(f"A price may not be more than {Money(MAX_PRICE_MINOR, currency)}.")
    return price


def read_percent(percent: str) -> int:
    """A tax rate as it stands in the file, in parts per million: ``"8.875"`` percent are 88750.

    Raises:
        ValueError: it is not a decimal from 0 to 100 with at most four digits after the point.
    """
    found = _PERCENT.fullmatch(percent)
    rate_ppm = int(found[1]) * 10_000 + int((found[2] or "").ljust(4, "0")) if found else 1_000_001
    if rate_ppm > 1_000_000:
        raise ValueError('Write a percentage from 0 to 100 with at most 4 digits after the point, such as "8.875".')
    return rate_ppm
