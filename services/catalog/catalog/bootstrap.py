"""Puts the service together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog.settings import Settings, read
from chassis.persistence import Database

if TYPE_CHECKING:  # the command line needs an App, but no bus
    from chassis.service import Runtime


@dataclass
class App:
    """What the use cases work with. The time comes from the database's clock."""

    database: Database
    settings: Settings = field(default_factory=Settings)


def bootstrap(runtime: Runtime) -> App:
    """Build the application from what the chassis gives.

    Raises:
        SettingsError: a setting is wrong.
    """
    return App(runtime.database, read(runtime.environment))
