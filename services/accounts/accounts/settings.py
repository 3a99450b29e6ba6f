"""What can be set from outside; the only place of this service that reads the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from chassis.settings import Environment


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings.

    Args:
        identity_signing_key: Ed25519 seed, 64 hexadecimal digits; signs identities.
        sealing_key: X25519 private key, 64 hexadecimal digits; opens passwords.
        notifications_sealing_public_key: X25519 public key, 64 hexadecimal digits; seals what only a mail may show.
        session_lifetime: from sign-in to expiry.
        password_memory_kib, password_passes, password_lanes: argon2id's parameters (RFC 9106, section 4, second
            recommended option).
        passwords_at_once: computations at a time in one process.
        sign_in_failures: refused sign-ins of a user name or an address in ten minutes; the next must wait.
        mails_per_recipient, mails_per_network: sign-ups and password resets for one e-mail address, and from one
            network, in an hour; the next must wait.
    """

    identity_signing_key: str = field(repr=False)
    sealing_key: str = field(repr=False)
    notifications_sealing_public_key: str
    session_lifetime: timedelta = timedelta(hours=12)
    password_memory_kib: int = 65536
    password_passes: int = 3
    password_lanes: int = 4
    passwords_at_once: int = 4
    sign_in_failures: int = 10
    mails_per_recipient: int = 5
    mails_per_network: int = 30


def read(environment: Environment) -> Settings:
    """The settings as the environment has them.

    Raises:
        SettingsError: naming everything that is wrong.
    """
    settings = Settings(
        identity_signing_key=environment.key("IDENTITY_SIGNING_KEY"),
        sealing_key=environment.key("ACCOUNTS_SEALING_KEY"),
        notifications_sealing_public_key=environment.key("NOTIFICATIONS_SEALING_PUBLIC_KEY"),
        session_lifetime=timedelta(hours=environment.integer("ACCOUNTS_SESSION_HOURS", 12)),
        password_memory_kib=environment.integer("ACCOUNTS_PASSWORD_MEMORY_KIB", 65536),
        password_passes=environment.integer("ACCOUNTS_PASSWORD_PASSES", 3),
        password_lanes=environment.integer("ACCOUNTS_PASSWORD_LANES", 4),
        passwords_at_once=environment.integer("ACCOUNTS_PASSWORDS_AT_ONCE", 4),
        sign_in_failures=environment.integer("ACCOUNTS_SIGN_IN_FAILURES", 10),
        mails_per_recipient=environment.integer("ACCOUNTS_MAILS_PER_RECIPIENT", 5),
        mails_per_network=environment.integer("ACCOUNTS_MAILS_PER_NETWORK", 30),
    )
    environment.check()
    return settings
