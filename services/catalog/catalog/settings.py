"""The only place where the catalogue reads the environment."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.settings import Environment, SettingsError
from kernel.money import MINOR_DIGITS


@dataclass(frozen=True, slots=True)
class Settings:
    """How the catalogue works here.

    Args:
        currency: the store's: every product has a price in it, and it is the one shown as `price`.
    """

    currency: str = "USD"


def read(environment: Environment) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: naming everything that is wrong.
    """
    currency = environment.text("CATALOG_CURRENCY", "USD")
    if currency not in MINOR_DIGITS:
        raise SettingsError(f"CATALOG_CURRENCY is {currency!r}, not one of {', '.join(sorted(MINOR_DIGITS))}")
    return Settings(currency=currency)


def read_database_url(environment: Environment) -> str:
    """Where the catalogue is stored; for the command line (a service is handed its database).

    Raises:
        SettingsError: it is not set.
    """
    url = environment.text("CATALOG_DATABASE_URL")
    environment.check()
    return url
