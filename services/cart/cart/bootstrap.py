"""What the use cases work with, put together once a process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cart.clients import Accounts, Catalog, Credits, Payments
from cart.settings import Settings, read
from cart.storage import FAILURE
from chassis.persistence import Database
from chassis.persistence.throttle import Throttle
from chassis.service import Runtime


@dataclass(frozen=True, slots=True)
class App:
    """The parts. The time comes from the database's clock (`Reader.now`)."""

    database: Database
    settings: Settings
    catalog: Catalog
    accounts: Accounts
    payments: Payments
    credits: Credits
    declines: Throttle


def bootstrap(runtime: Runtime) -> App:
    """The parts for a running service.

    Raises:
        SettingsError: the environment is wrong.
    """
    settings = read(runtime.environment)
    return App(
        runtime.database,
        settings,
        Catalog(runtime.rpc, settings.prices_kept_s),
        Accounts(runtime.rpc),
        Payments(runtime.rpc, settings.collect_timeout_s),
        Credits(runtime.rpc),
        Throttle(FAILURE, settings.declines_at_most, timedelta(seconds=settings.declines_window_s)),
    )
