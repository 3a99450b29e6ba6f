"""The only reader of the environment in this service. Every name and default is in the README."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from chassis.settings import Environment

#: Seconds for our own work around a call of the provider, before somebody else may take the attempt over.
_MARGIN_S = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach the payment provider.

    Args:
        provider_url: its base address.
        provider_key: the secret it knows us by.
        webhook_secrets: those it may sign webhooks with: the one of now, and the one before while it is being changed.
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for an answer.
        connections: kept open to it.
    """

    provider_url: str
    provider_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    connect_timeout_s: float = 1.0
    read_timeout_s: float = 5.0
    connections: int = 20

    @property
    def lease(self) -> timedelta:
        """For how long an attempt belongs to whoever is asking the provider about it.

        Afterwards its owner is taken for dead. Should it not be, both ask with the same key: no harm is done.
        """
        return timedelta(seconds=self.connect_timeout_s + self.read_timeout_s + _MARGIN_S)


def read(environment: Environment) -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: naming everything that is wrong.
    """
    settings = Settings(
        provider_url=environment.text("PAYMENTS_PROVIDER_URL"),
        provider_key=environment.text("PAYMENTS_PROVIDER_KEY"),
        webhook_secrets=tuple(
            secret
            for secret in (
                environment.text("PAYMENTS_WEBHOOK_SECRET"),
                environment.text("PAYMENTS_WEBHOOK_SECRET_BEFORE", ""),
            )
            if secret
        ),
        connect_timeout_s=environment.integer("PAYMENTS_PROVIDER_CONNECT_TIMEOUT_MS", 1000) / 1000,
        read_timeout_s=environment.integer("PAYMENTS_PROVIDER_READ_TIMEOUT_MS", 5000) / 1000,
        connections=environment.integer("PAYMENTS_PROVIDER_CONNECTIONS", 20),
    )
    environment.check()
    return settings
