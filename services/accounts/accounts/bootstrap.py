"""What the use cases work with, put together once a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from accounts import storage
from accounts.passwords import Passwords
from accounts.settings import Settings, read
from chassis.identity import IdentitySigner
from chassis.persistence import Database, Throttle
from chassis.sealing import Opener, Sealer
from chassis.service import Runtime

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class App:
    """The parts. The time comes from the database's clock (`Reader.now`)."""

    database: Database
    settings: Settings
    passwords: Passwords
    opener: Opener
    sealer: Sealer
    signer: IdentitySigner
    throttle: Throttle
    per_recipient: Throttle
    per_network: Throttle
    #: Has mails that somebody waits for made at once.
    wake_issuer: Callable[[], None]


def assemble(database: Database, settings: Settings, wake_issuer: Callable[[], None] = lambda: None) -> App:
    """The parts, made from settings that were read already (the composition root and tests have them)."""
    passwords = Passwords(
        memory_kib=settings.password_memory_kib,
        passes=settings.password_passes,
        lanes=settings.password_lanes,
        at_once=settings.passwords_at_once,
    )
    signer = IdentitySigner(settings.identity_signing_key, database.clock)
    return App(
        database=database,
        settings=settings,
        passwords=passwords,
        opener=Opener(settings.sealing_key),
        sealer=Sealer(settings.notifications_sealing_public_key),
        signer=signer,
        throttle=Throttle(storage.FAILURE, settings.sign_in_failures),
        per_recipient=Throttle(storage.FAILURE, settings.mails_per_recipient, _HOUR),
        per_network=Throttle(storage.FAILURE, settings.mails_per_network, _HOUR),
        wake_issuer=wake_issuer,
    )


def bootstrap(runtime: Runtime) -> App:
    """The parts for a running service.

    Raises:
        SettingsError: the environment is incomplete.
    """
    return assemble(runtime.database, read(runtime.environment), runtime.waker("issue_links"))
