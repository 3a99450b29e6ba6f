"""What the environment says; nobody else in this service reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.headerregistry import Address
from urllib.parse import unquote, urlsplit

from chassis.settings import Environment, SettingsError

#: Schemes of NOTIFICATIONS_SMTP_URL with the port that each has unless told (RFC 5321, 8314, 6409).
_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
_SENDER = re.compile(
    r"(?:(?P<name>[^<>@]*)(?P<open><))?(?P<user>[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+)@(?P<domain>[^<>@]+)(?(open)>)"
)
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails go.

    Args:
        scheme: smtp, smtps, smtp+starttls or folder.
        host, port: the mail server's.
        user, password: to sign in with; empty for not at all.
        path: the folder.
    """

    scheme: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of this service.

    Args:
        mail_server: where mails go.
        sender: from whom they are.
        public_url: where the store is, without a slash at the end. Links in mails begin with it, and with nothing
            that came in a request.
        sealing_key: opens what was sealed for this service; 64 hexadecimal digits.
        smtp_timeout_s: for one mail, in seconds.
    """

    mail_server: MailServer
    sender: Address
    public_url: str
    sealing_key: str = field(repr=False)
    smtp_timeout_s: int


def read(environment: Environment) -> Settings:
    """Read them.

    Raises:
        SettingsError: naming what is missing or wrong, and what to do.
    """
    server_url = environment.text("NOTIFICATIONS_SMTP_URL")
    sender = environment.text("NOTIFICATIONS_SENDER")
    public_url = environment.text("PUNCHCARD_PUBLIC_URL")
    sealing_key = environment.key("NOTIFICATIONS_SEALING_KEY")
    smtp_timeout_s = environment.integer("NOTIFICATIONS_SMTP_TIMEOUT_S", 30)
    environment.check()
    if smtp_timeout_s < 1:
        raise SettingsError("NOTIFICATIONS_SMTP_TIMEOUT_S is less than a second")
    return Settings(_mail_server(server_url), _sender(sender), _public_url(public_url), sealing_key, smtp_timeout_s)


def _mail_server(text: str) -> MailServer:
    # the value may hold a password: no message quotes it
    problem = SettingsError(
        "NOTIFICATIONS_SMTP_URL is none of smtp://host:port, smtps://user:password@host, smtp+starttls://host, "
        "folder:///absolute/path"
    )
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise problem from error
    if url.scheme == "folder" and not url.netloc and url.path.startswith("/") and url.path != "/":
        return MailServer("folder", path=unquote(url.path))
    if url.scheme not in _PORTS or not url.hostname:
        raise problem
    return MailServer(
        url.scheme, url.hostname, port or _PORTS[url.scheme], unquote(url.username or ""), unquote(url.password or "")
    )


def _sender(text: str) -> Address:
    found = _SENDER.fullmatch(text)
    if not found or not text.isprintable() or not _DOMAIN.fullmatch(found["domain"]):
        raise SettingsError("NOTIFICATIONS_SENDER is not like 'Punchcard <store@example.com>'")
    return Address((found["name"] or "").strip(' "'), found["user"], found["domain"])


def _public_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.netloc or url.query or url.fragment:
        raise SettingsError("PUNCHCARD_PUBLIC_URL is not like https://store.example.com")
    return text.rstrip("/")
