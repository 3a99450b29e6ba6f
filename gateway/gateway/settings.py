"""What the gateway reads of the environment. Nothing else here does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from chassis.settings import Environment, SettingsError


@dataclass(frozen=True, slots=True)
class Settings:
    """How the gateway runs.

    Args:
        accounts_sealing_public_key: X25519 public key of accounts, 64 hexadecimal digits; passwords are sealed with it.
        credits_sealing_public_key: the same of credits; claim codes are sealed with it.
        amqp_uri: the bus; only the gateway's own process needs it (`gateway.wsgi`).
        bind: where gunicorn listens, ``host:port``.
        reuse_port: whether several gateway processes of one machine share `bind`; the kernel spreads connections.
        threads: how many requests one process works on at once.
        waiting: how many more wait for a moment; what comes on top is 503 at once.
        rpc_timeout_s: how long a service may take to answer, in seconds.
        checkout_timeout_s: how long placing an order may take, in seconds: a payment provider is behind it.
        health_timeout_s: how long a service may take to say that it is well, in seconds.
        identity_lifetime_s: how long a verified credential is believed without asking accounts, in seconds.
        trusted_proxies: how many reverse proxies stand before the gateway, whose X-Forwarded-For is believed.
        pdf_fonts: paths of TrueType files, for letters in PDFs that Open Sans does not have.
        log_level: the lowest level that is logged.
    """

    accounts_sealing_public_key: str = field(repr=False)
    credits_sealing_public_key: str = field(repr=False)
    amqp_uri: str = field(default="", repr=False)
    bind: str = "127.0.0.1:8000"
    reuse_port: bool = False
    threads: int = 24
    waiting: int = 48
    rpc_timeout_s: int = 5
    checkout_timeout_s: int = 20
    health_timeout_s: int = 2
    identity_lifetime_s: int = 60
    trusted_proxies: int = 0
    pdf_fonts: tuple[str, ...] = ()
    log_level: str = "INFO"


def read(environment: Environment) -> Settings:
    """Read and check the settings.

    Raises:
        chassis.settings.SettingsError: naming every problem.
    """
    settings = Settings(
        accounts_sealing_public_key=environment.key("ACCOUNTS_SEALING_PUBLIC_KEY"),
        credits_sealing_public_key=environment.key("CREDITS_SEALING_PUBLIC_KEY"),
        amqp_uri=environment.text("AMQP_URI"),
        bind=environment.text("GATEWAY_BIND", "127.0.0.1:8000"),
        reuse_port=environment.integer("GATEWAY_REUSE_PORT", 0, minimum=0) > 0,
        threads=environment.integer("GATEWAY_THREADS", 24),
        waiting=environment.integer("GATEWAY_WAITING", 48, minimum=0),
        rpc_timeout_s=environment.integer("GATEWAY_RPC_TIMEOUT_S", 5),
        checkout_timeout_s=environment.integer("GATEWAY_CHECKOUT_TIMEOUT_S", 20),
        health_timeout_s=environment.integer("GATEWAY_HEALTH_TIMEOUT_S", 2),
        identity_lifetime_s=environment.integer("GATEWAY_IDENTITY_LIFETIME_S", 60),
        trusted_proxies=environment.integer("GATEWAY_TRUSTED_PROXIES", 0, minimum=0),
        pdf_fonts=tuple(filter(None, environment.text("GATEWAY_PDF_FONTS", "").split(":"))),
        log_level=environment.text("GATEWAY_LOG_LEVEL", "INFO"),
    )
    missing = [path for path in settings.pdf_fonts if not Path(path).is_file()]
    if missing:
        raise SettingsError(f"GATEWAY_PDF_FONTS: no such file: {', '.join(missing)}")
    environment.check()
    return settings
