"""What can be set from outside; the only reader of the environment."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.settings import Environment, SettingsError
from kernel.money import MINOR_DIGITS


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of cart.

    Args:
        currency: of every cart, ISO 4217.
        collect_timeout_s: seconds that a checkout waits for payments.
        resume_after_s: seconds after which an order whose payment is not known is asked about; doubles each time.
        resume_at_most_s: the longest wait between two such questions, in seconds.
        declines_at_most: declined cards, by organisation, user or address, after which the next one waits.
        declines_window_s: seconds for which a decline counts.
        refund_approval_above_minor: minor units of an order above which another person must agree to a refund.
        prices_kept_s: seconds for which a change of a cart may show prices without asking again; an order always asks.
        quote_valid_days: a quote's last day is so many days after the one on which it was made.
        quote_reminder_days: days before its end on which the buyer of an open quote is told; 0 for never.
    """

    currency: str = "USD"
    collect_timeout_s: int = 8
    resume_after_s: int = 10
    resume_at_most_s: int = 30
    prices_kept_s: int = 2
    refund_approval_above_minor: int = 500_000
    declines_at_most: int = 10
    declines_window_s: int = 600
    quote_valid_days: int = 30
    quote_reminder_days: int = 3


def read(environment: Environment) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: naming what is wrong.
    """
    settings = Settings(
        currency=environment.text("CART_CURRENCY", "USD"),
        collect_timeout_s=environment.integer("CART_COLLECT_TIMEOUT_S", 8),
        resume_after_s=environment.integer("CART_RESUME_AFTER_S", 10),
        resume_at_most_s=environment.integer("CART_RESUME_AT_MOST_S", 30),
        refund_approval_above_minor=environment.integer("CART_REFUND_APPROVAL_ABOVE_MINOR", 500_000, minimum=0),
        declines_at_most=environment.integer("CART_DECLINES_AT_MOST", 10),
        declines_window_s=environment.integer("CART_DECLINES_WINDOW_S", 600),
        prices_kept_s=environment.integer("CART_PRICES_KEPT_S", 2, minimum=0),
        quote_valid_days=environment.integer("CART_QUOTE_VALID_DAYS", 30),
        quote_reminder_days=environment.integer("CART_QUOTE_REMINDER_DAYS", 3, minimum=0),
    )
    environment.check()
    if settings.currency not in MINOR_DIGITS:
        raise SettingsError(f"CART_CURRENCY is {settings.currency!r}, not one of {', '.join(sorted(MINOR_DIGITS))}")
    if not 1 <= settings.collect_timeout_s < settings.resume_after_s <= settings.resume_at_most_s:
        raise SettingsError(
            "CART_COLLECT_TIMEOUT_S < CART_RESUME_AFTER_S <= CART_RESUME_AT_MOST_S must hold, in seconds"
        )
    if settings.quote_reminder_days >= settings.quote_valid_days:
        raise SettingsError("CART_QUOTE_REMINDER_DAYS < CART_QUOTE_VALID_DAYS must hold")
    return settings
