"""The tax on an order.

It is worked out for each line, on the line's total, and rounded half up to the currency's minor unit; the tax of an
order is the sum of its lines' (so that every line of an invoice adds up, where a tax on the sum could differ by some
units).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kernel.money import Money

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Tax:
    """What an order is taxed with; it keeps this for ever.

    Args:
        name: of the tax, as catalog calls it: ``VAT``.
        rate_ppm: in parts per million: 88750 are 8.875 percent; 0 if the organisation is exempt.
        certificate: why no tax is charged though there is one: the certificate of the organisation's exemption.
    """

    name: str
    rate_ppm: int
    certificate: str | None = None


def exempted(tax: Tax | None, certificate: str | None) -> Tax | None:
    """The tax for an organisation that may have a certificate of exemption."""
    return tax if tax is None or certificate is None else Tax(tax.name, 0, certificate)


def tax_on(amount: Money, tax: Tax | None) -> Money:
    """The tax on the total of one line, rounded half up.

    Args:
        amount: of the line; not negative.
        tax: None if there is none.
    """
    if tax is None:
        return Money(0, amount.currency)
    return Money((amount.amount_minor * tax.rate_ppm + _MILLION // 2) // _MILLION, amount.currency)


def tax_on_lines(totals: Iterable[Money], tax: Tax | None, currency: str) -> Money:
    """The tax on an order: the sum of its lines'."""
    return sum((tax_on(total, tax) for total in totals), Money(0, currency))


def percent(rate_ppm: int) -> str:
    """A rate for people: ``8.875``."""
    whole, rest = divmod(rate_ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".")
