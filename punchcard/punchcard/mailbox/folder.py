"""A folder of ``.eml`` files, read as mails."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path

from kernel.clock import rfc3339

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that arrived.

    Args:
        id: the file's name without its ending; two arrivals of one Message-ID are two mails.
        message_id: as the sender gave it.
        to: the addresses, separated by commas.
        sender: the From header, decoded.
        subject: decoded.
        sent_at: when it was handed over: when its file appeared. (The Date header has whole seconds only.)
        text, html: the bodies; empty if there is none.
    """

    id: str
    message_id: str
    to: str
    sender: str
    subject: str
    sent_at: datetime
    text: str
    html: str

    def as_dict(self) -> dict[str, str]:
        """The mail as ``/dev/mail.json`` lists it."""
        return {
            "id": self.id,
            "to": self.to,
            "subject": self.subject,
            "sent_at": rfc3339(self.sent_at),
            "text": self.text,
            "html": self.html,
        }


class MailFolder:
    """The mails in a folder.

    Args:
        path: need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[tuple[str, int], Mail] = {}

    def mails(self) -> list[Mail]:
        """All mails, the one that arrived last first."""
        found = sorted(self._files(), key=lambda entry: (entry[1], entry[0]), reverse=True)
        known = self._read
        # files are read once; what was deleted is forgotten
        self._read = {key: known.get(key) or _read(self.path / f"{key[0]}.eml", key[1]) for key in found}
        return list(self._read.values())

    def mail(self, mail_id: str) -> Mail | None:
        """One mail; None if there is none by that id (which is looked for among the files, never made a path)."""
        return next((mail for mail in self.mails() if mail.id == mail_id), None)

    def keep(self, content: bytes) -> Path:
        """Write a mail that arrived into a file of its own.

        Args:
            content: the mail as it came.

        Returns:
            The file; its name sorts by arrival.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers)}"
        draft = self.path / f"{name}.part"
        draft.write_bytes(content)
        return draft.rename(draft.with_suffix(".eml"))  # a reader sees all of it or nothing

    def _files(self) -> list[tuple[str, int]]:
        if not self.path.is_dir():
            return []
        with os.scandir(self.path) as entries:
            return [
                (entry.name.removesuffix(".eml"), entry.stat().st_mtime_ns)
                for entry in entries
                if entry.name.endswith(".eml") and entry.is_file()
            ]


def _read(path: Path, arrived_ns: int) -> Mail:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    addresses = (address for _, address in getaddresses([str(value) for value in message.get_all("To", [])]))
    return Mail(
        id=path.stem,
        message_id=str(message.get("Message-ID", "")),
        to=", ".join(address for address in addresses if address),
        sender=str(message.get("From", "")),
        subject=str(message.get("Subject", "")),
        sent_at=datetime.fromtimestamp(arrived_ns / 1e9, UTC),
        text=_body(message, "plain"),
        html=_body(message, "html"),
    )


def _body(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    if part is None:
        return ""
    content = part.get_content()
    return content.replace("\r\n", "\n") if isinstance(content, str) else ""
