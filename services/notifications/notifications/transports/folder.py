"""Mails into a folder, for the embedded mode: one ``.eml`` a mail, named by its Message-ID."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from notifications.domain.deliveries import FailureKind
from notifications.mail import Mail
from notifications.transports.base import NotSent

_UNSAFE = re.compile(r"[^A-Za-z0-9@._-]")


class FolderTransport:
    """Writes mails into a folder.

    Args:
        folder: made if missing.
    """

    timeout_s = 5.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def session(self) -> Iterator[FolderTransport]:
        """Nothing to connect to."""
        yield self

    def send(self, mail: Mail) -> None:
        """Write the mail; a mail that a sender wrote before it died stays as it is.

        Raises:
            NotSent: `unreachable`: the folder cannot be written.
        """
        path = self._folder / f"{_UNSAFE.sub('_', mail.message_id.strip('<>'))}.eml"
        try:
            if path.exists():
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(path, mail.content)
        except OSError as error:
            raise NotSent(FailureKind.UNREACHABLE, type(error).__name__) from error

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        draft = path.with_suffix(f".{os.getpid()}.part")
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # it is about to be marked as sent, and that will last
        draft.replace(path)  # a reader sees all of it or nothing
