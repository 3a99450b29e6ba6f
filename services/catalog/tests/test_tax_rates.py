"""Tax rates: what a file may say, and which one holds where and when."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.bootstrap import App
from catalog.domain.catalogue import CatalogueInvalid, read_percent
from catalog.use_cases.import_catalogue import Counts, import_catalogue
from catalog.use_cases.price_lines import price_lines
from chassis.testing import FixedClock

RATES = """\
tax_rates:
  - {country: US, state: NY, name: Sales tax, percent: "8.875", valid_from: 2026-01-01, valid_until: 2026-11-30}
  - {country: US, state: NY, name: Sales tax, percent: "9", valid_from: 2026-12-01}
  - {country: DE, name: MwSt, percent: "19", valid_from: 2026-01-01}
  - {country: DE, state: BY, name: MwSt, percent: "7.0001", valid_from: 2026-01-01}
  - {country: FR, name: TVA, percent: "20", valid_from: 2027-01-01}
"""


def tax(app: App, country: str, state: str | None = None) -> Any:
    return price_lines(app, skus=["PACK"], currency="USD", taxed_in={"country": country, "state": state})["tax"]


def test_the_rate_of_a_place_on_a_day(app: App, clock: FixedClock, sound: str) -> None:
    report = import_catalogue(app, sound + RATES)
    assert report.tax_rates == Counts(added=5, changed=0, unchanged=0)
    assert tax(app, "US", "NY") == {"name": "Sales tax", "rate_ppm": 88750}
    assert tax(app, "DE", "BE") == tax(app, "DE") == {"name": "MwSt", "rate_ppm": 190000}
    assert tax(app, "DE", "BY") == {"name": "MwSt", "rate_ppm": 70001}
    assert tax(app, "US", "CA") is tax(app, "US") is tax(app, "FR") is tax(app, "XX") is None
    assert "tax" not in price_lines(app, skus=["PACK"], currency="USD")
    clock.advance(days=9)  # 1 December
    assert tax(app, "US", "NY") == {"name": "Sales tax", "rate_ppm": 90000}


def test_the_rates_are_those_of_the_last_file_that_had_some(app: App, sound: str) -> None:
    import_catalogue(app, sound + RATES)
    assert import_catalogue(app, sound).tax_rates == Counts(0, 0, 0)
    assert tax(app, "DE") is not None
    changed = RATES.replace('"19"', '"16"').replace("  - {country: FR, name: TVA", "  - {country: ES, name: IVA")
    assert import_catalogue(app, sound + changed).tax_rates == Counts(added=1, changed=1, unchanged=3, retired=1)
    assert tax(app, "DE") == {"name": "MwSt", "rate_ppm": 160000}
    assert import_catalogue(app, sound + "tax_rates: []\n").tax_rates == Counts(0, 0, 0, retired=5)
    assert tax(app, "DE") is None


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        ('{country: US, name: T, percent: "101", valid_from: 2026-01-01}', "tax_rates.1.percent", "from 0 to 100"),
        ('{country: US, name: T, percent: "1.23456", valid_from: 2026-01-01}', "tax_rates.1.percent", "4 digits"),
        ("{country: US, name: T, percent: 8.875, valid_from: 2026-01-01}", "tax_rates.1.percent", "in quotes"),
        ('{country: us, name: T, percent: "1", valid_from: 2026-01-01}', "tax_rates.1.country", "ISO 3166-1"),
        ('{country: US, name: T, percent: "1", valid_from: 2026-02-30}', "tax_rates.1.valid_from", "date"),
        ('{country: US, name: T, percent: "1", valid_from: 2026-02-02, valid_until: 2026-02-01}',
         "tax_rates.1.valid_until", "ends before"),
        ('{country: DE, name: T, percent: "1", valid_from: 2025-01-01, valid_until: 2026-01-01}',
         "tax_rates.1.valid_from", "tax_rates.0 is valid on some of the same days"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say(app: App, sound: str, entry: str, path: str, message: str) -> None:
    first = '{country: DE, name: MwSt, percent: "19", valid_from: 2026-01-01}'
    with pytest.raises(CatalogueInvalid) as caught:
        import_catalogue(app, f"{sound}tax_rates:\n  - {first}\n  - {entry}\n")
    (problem,) = caught.value.problems
    assert problem.path == path
    assert message in problem.message


def test_a_percentage_is_exact() -> None:
    assert [read_percent(text) for text in ("0", "100", "8.875", "0.0001", "19.60")] == [0, 10**6, 88750, 1, 196000]
