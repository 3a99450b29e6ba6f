"""The only reader of the environment in this service. Every name and default is in the README."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from chassis.settings import Environment, SettingsError
from payments.domain.invoices import Issuer
from payments.domain.remittances import Terms

#: Seconds for our own work around a call of the provider, before somebody else may take the attempt over.
_MARGIN_S = 2

#: By method, what a payer must know, with the variable that says it. A method whose first one is missing is not open.
_PAY_TO: dict[str, dict[str, str]] = {
    "wire": {
        "account": "PAYMENTS_WIRE_ACCOUNT",
        "beneficiary": "PAYMENTS_WIRE_BENEFICIARY",
        "bank": "PAYMENTS_WIRE_BANK",
        "bic": "PAYMENTS_WIRE_BIC",
    },
    "check": {"payable_to": "PAYMENTS_CHECK_PAYABLE_TO", "address": "PAYMENTS_CHECK_ADDRESS"},
}
#: By method, days until the money is due and until the order is cancelled, and the days of the reminders.
_DAYS = {"wire": (14, 30, "7,14,21"), "check": (21, 45, "10,21,35")}


#: Declined cards in a window after which the next is not looked at.
DECLINES_AT_MOST, _DECLINES_WINDOW_S = 10, 600


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach the payment provider, and where money that comes without one goes.

    Args:
        provider_url: its base address.
        provider_key: the secret it knows us by.
        webhook_secrets: those it may sign webhooks with: the one of now, and the one before while it is being changed.
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for an answer.
        connections: kept open to it.
        remittances: the terms of each method that is open.
        declines_at_most: cards to be saved that are declined, by organisation, user or address, before the next waits.
        declines_window_s: seconds for which a decline counts.
        issuer: who sells, as invoices say it.
    """

    provider_url: str
    provider_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    connect_timeout_s: float = 1.0
    read_timeout_s: float = 5.0
    connections: int = 20
    remittances: Mapping[str, Terms] = field(default_factory=dict)
    declines_at_most: int = DECLINES_AT_MOST
    declines_window_s: int = _DECLINES_WINDOW_S
    issuer: Issuer = field(default_factory=Issuer)

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
        declines_at_most=environment.integer("PAYMENTS_DECLINES_AT_MOST", DECLINES_AT_MOST),
        declines_window_s=environment.integer("PAYMENTS_DECLINES_WINDOW_S", _DECLINES_WINDOW_S),
        issuer=Issuer(
            environment.text("PAYMENTS_ISSUER_ID", "store"),
            environment.text("PAYMENTS_ISSUER_NAME", "Punchcard"),
            environment.text("PAYMENTS_ISSUER_ADDRESS", ""),
            environment.text("PAYMENTS_ISSUER_TAX_NUMBER", ""),
        ),
        remittances={method: terms for method in _PAY_TO if (terms := _terms(environment, method))},
    )
    environment.check()
    return settings


def _terms(environment: Environment, method: str) -> Terms | None:
    variables = _PAY_TO[method]
    if not environment.text(next(iter(variables.values())), ""):
        return None
    due, cancel, reminders = _DAYS[method]
    prefix = f"PAYMENTS_{method.upper()}"
    due = environment.integer(f"{prefix}_DUE_DAYS", due)
    cancel = environment.integer(f"{prefix}_CANCEL_DAYS", cancel)
    days = environment.text(f"{prefix}_REMINDER_DAYS", reminders)
    pay_to = {name: environment.text(variable) for name, variable in variables.items()}
    if days == "none":
        days = ""
    if not all(day.isdigit() for day in days.split(",") if days) or not due < cancel:
        raise SettingsError(
            f"{prefix}_DUE_DAYS must be less than {prefix}_CANCEL_DAYS, "
            f"and {prefix}_REMINDER_DAYS must be days like 7,14, or none"
        )
    return Terms(pay_to, due, cancel, tuple(int(day) for day in days.split(",") if days))
