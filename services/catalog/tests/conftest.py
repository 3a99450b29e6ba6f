"""A small sound catalogue, and the application on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from catalog.bootstrap import App
from chassis.persistence import Database
from chassis.testing import FixedClock

SOUND = """\
categories:
  - slug: support
    name: Support
  - slug: hourly
    name: Hourly
    parent: support
    default: true
  - slug: hardware
    name: Hardware
products:
  - sku: PACK
    name: Pack
    description: Credits.
    category: hourly
    kind: credit_pack
    credits: 120
    max_quantity: 10
    prices:
      - currency: USD
        amount: "240.00"
      - currency: EUR
        amount: "222.00"
  - sku: BOX
    name: Box
    description: A box.
    category: hardware
    kind: hardware
    prices:
      - {currency: USD, amount: "9.50"}
terms:
  - version: "2026-11"
    published_at: 2026-11-01T00:00:00Z
    text: Be kind.
"""


@pytest.fixture
def sound() -> str:
    """A file without an error: PACK from line 11, BOX from line 23, the terms from line 31."""
    return SOUND


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def app(migrated: Callable[..., Database], clock: FixedClock) -> App:
    """The application with an empty catalogue, on each kind of database."""
    return App(migrated("catalog", clock))
