"""The application object: what the use cases are handed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chassis.persistence import Database
from chassis.sealing import Opener
from chassis.service import Runtime
from notifications import settings
from notifications.rendering import Renderer
from notifications.transports import Transport, transport_to


@dataclass
class App:
    """The notifications service.

    Args:
        database: its own.
        renderer: makes mails.
        opener: opens claim codes, in memory only.
        transport: how mails leave.
        wake_sender: has queued mails sent at once.
        message_id_domain: what Message-IDs end in.
    """

    database: Database
    renderer: Renderer
    opener: Opener
    transport: Transport
    wake_sender: Callable[[], None]
    message_id_domain: str


def bootstrap(runtime: Runtime) -> App:
    """Build the application.

    Raises:
        SettingsError: naming what is missing or wrong in the environment.
    """
    read = settings.read(runtime.environment)
    return App(
        database=runtime.database,
        renderer=Renderer(read.sender, read.public_url),
        opener=Opener(read.sealing_key),
        transport=transport_to(read.mail_server, read.sender.addr_spec, read.smtp_timeout_s),
        wake_sender=runtime.waker("send_mails"),
        message_id_domain=read.sender.domain,
    )
