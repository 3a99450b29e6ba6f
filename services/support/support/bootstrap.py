"""What the use cases work with, put together once a process."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.persistence import Database
from chassis.service import Runtime
from support.clients import Accounts, Credits
from support.settings import Settings, read


@dataclass(frozen=True, slots=True)
class App:
    """The parts. The time comes from the database's clock (`Reader.now`)."""

    database: Database
    settings: Settings
    accounts: Accounts
    credits: Credits


def bootstrap(runtime: Runtime) -> App:
    """The parts for a running service.

    Raises:
        SettingsError: the environment is wrong.
    """
    return App(runtime.database, read(runtime.environment), Accounts(runtime.rpc), Credits(runtime.rpc))
