"""Money: whole minor units of one currency. Never a float."""

from __future__ import annotations

from dataclasses import dataclass

#: Digits after the point, by ISO 4217. A currency that is not here is not sold in.
MINOR_DIGITS = {"USD": 2, "EUR": 2, "GBP": 2, "CAD": 2, "AUD": 2, "CHF": 2, "JPY": 0, "KWD": 3}


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount of a currency.

    Args:
        amount_minor: whole minor units (cents for USD); may be negative for a refund or a difference.
        currency: ISO 4217 code, one of `MINOR_DIGITS`.

    Raises:
        TypeError: the amount is not an int.
        ValueError: the currency is unknown; or two currencies were mixed.
    """

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount_minor, int) or isinstance(self.amount_minor, bool):
            raise TypeError("money is counted in whole minor units")
        if self.currency not in MINOR_DIGITS:
            raise ValueError(f"unknown currency {self.currency!r}")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other).amount_minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other).amount_minor, self.currency)

    def __mul__(self, count: int) -> Money:
        return Money(self.amount_minor * count, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._same(other).amount_minor

    def __gt__(self, other: Money) -> bool:
        return self.amount_minor > self._same(other).amount_minor

    def __str__(self) -> str:
        """For people: ``120.00 USD``."""
        digits = MINOR_DIGITS[self.currency]
        sign = "-" if self.amount_minor < 0 else ""
        whole, rest = divmod(abs(self.amount_minor), 10**digits)
        return f"{sign}{whole}.{rest:0{digits}d} {self.currency}" if digits else f"{sign}{whole} {self.currency}"

    def as_dict(self) -> dict[str, int | str]:
        return {"amount_minor": self.amount_minor, "currency": self.currency}

    def _same(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other
