"""Settings of credits; the only place that reads its part of the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from chassis.settings import Environment


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    Args:
        sealing_key: opens the claim codes that the gateway sealed for us; X25519, hexadecimal.
        notifications_sealing_public_key: seals the claim codes that notifications puts into the card mail.
        code_pepper: the HMAC key under which claim codes are kept. Changing it makes every unclaimed card unclaimable.
        card_validity: from the issue of a card to its expiry; None: cards do not expire.
        card_reminder: how long before its expiry the buyer of an unclaimed card is reminded; None: not at all.
        credits_valid_days: how long credits can be used whose product does not say it; 0: for ever.
        claim_failures: refused claims and previews of an organisation or an address in ten minutes; the next must wait.
    """

    sealing_key: str = field(repr=False)
    notifications_sealing_public_key: str
    code_pepper: bytes = field(repr=False)
    card_validity: timedelta | None
    card_reminder: timedelta | None
    credits_valid_days: int
    claim_failures: int = 10


def read(environment: Environment) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: naming everything that is missing or wrong.
    """
    sealing_key = environment.key("CREDITS_SEALING_KEY")
    public_key = environment.key("NOTIFICATIONS_SEALING_PUBLIC_KEY")
    pepper = environment.key("CREDITS_CODE_PEPPER")
    days = environment.integer("CREDITS_CARD_VALID_DAYS", 365, minimum=0)
    reminder_days = environment.integer("CREDITS_CARD_REMINDER_DAYS", 30, minimum=0)
    credits_valid_days = environment.integer("CREDITS_VALID_DAYS", 0, minimum=0)
    claim_failures = environment.integer("CREDITS_CLAIM_FAILURES", 10)
    environment.check()
    return Settings(
        sealing_key=sealing_key,
        notifications_sealing_public_key=public_key,
        code_pepper=bytes.fromhex(pepper),
        card_validity=timedelta(days=days) if days > 0 else None,
        card_reminder=timedelta(days=reminder_days) if reminder_days > 0 else None,
        credits_valid_days=credits_valid_days,
        claim_failures=claim_failures,
    )
