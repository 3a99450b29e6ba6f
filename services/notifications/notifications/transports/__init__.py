"""How mails leave: over SMTP, or into a folder."""

from __future__ import annotations

from pathlib import Path

from notifications.settings import MailServer
from notifications.transports.base import NotSent, Session, Transport
from notifications.transports.folder import FolderTransport
from notifications.transports.smtp import SmtpTransport

__all__ = ["FolderTransport", "NotSent", "Session", "SmtpTransport", "Transport", "transport_to"]


def transport_to(server: MailServer, envelope_sender: str, timeout_s: float) -> Transport:
    """The transport that the settings ask for.

    Args:
        server: where mails go.
        envelope_sender: the address that a mail server reports failures to.
        timeout_s: for one mail, in seconds.
    """
    if server.scheme == "folder":
        return FolderTransport(Path(server.path))
    return SmtpTransport(server, envelope_sender, timeout_s)
