"""What the use cases work with, put together once a process."""

from __future__ import annotations

from dataclasses import dataclass

from accounts import storage
from accounts.passwords import Passwords
from accounts.settings import Settings, read
from chassis.identity import IdentitySigner
from chassis.persistence import Database, Throttle
from chassis.sealing import Opener
from chassis.service import Runtime


@dataclass(frozen=True, slots=True)
class App:
    """The parts. The time comes from the database's clock (`Reader.now`)."""

    database: Database
    settings: Settings
    passwords: Passwords
    opener: Opener
    signer: IdentitySigner
    throttle: Throttle


def assemble(database: Database, settings: Settings) -> App:
    """The parts, made from settings that were read already (the composition root and tests have them)."""
    passwords = Passwords(
        memory_kib=settings.password_memory_kib,
        passes=settings.password_passes,
        lanes=settings.password_lanes,
        at_once=settings.passwords_at_once,
    )
    signer = IdentitySigner(settings.identity_signing_key, database.clock)
    throttle = Throttle(storage.FAILURE, settings.sign_in_failures)
    return App(database, settings, passwords, Opener(settings.sealing_key), signer, throttle)


def bootstrap(runtime: Runtime) -> App:
    """The parts for a running service.

    Raises:
        SettingsError: the environment is incomplete.
    """
    return assemble(runtime.database, read(runtime.environment))
