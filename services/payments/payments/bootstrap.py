"""Puts the service together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from chassis.persistence import Database
from chassis.service import Runtime
from payments import settings
from payments.domain.provider import Provider
from payments.providers.offline import OfflineProvider


@dataclass(slots=True)
class App:
    """What the use cases are handed.

    Args:
        database: this service's.
        provider: who takes the money.
        lease: for how long an attempt belongs to whoever is asking the provider about it.
    """

    database: Database
    provider: Provider
    lease: timedelta


def bootstrap(runtime: Runtime) -> App:
    """Build the App of a running service."""
    read = settings.read(runtime.environment)
    provider = OfflineProvider(
        read.provider_url,
        read.provider_key,
        connect_timeout_s=read.connect_timeout_s,
        read_timeout_s=read.read_timeout_s,
        connections=read.connections,
    )
    return App(runtime.database, provider, read.lease)
