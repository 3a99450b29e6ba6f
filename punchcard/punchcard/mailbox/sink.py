"""A mail server that keeps every mail it gets in a folder and sends none on."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from aiosmtpd.controller import Controller
from werkzeug.serving import WSGIRequestHandler, make_server

from punchcard.mailbox.folder import MailFolder
from punchcard.mailbox.pages import create_app

_HOST = "127.0.0.1"


class _Keep:
    """aiosmtpd's handler: an arrival is a file, so a mail that comes twice is there twice."""

    def __init__(self, folder: MailFolder) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self._folder.keep(envelope.content)
        return "250 kept"


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nobody needs a line for each request of a mailbox."""


def mail_sink(folder: Path, port: int) -> Controller:
    """The mail server on the loopback address; call its `start` and `stop`.

    Args:
        folder: where mails are kept.
        port: to listen on.
    """
    return Controller(_Keep(MailFolder(folder)), hostname=_HOST, port=port, server_hostname="mailbox.localhost")


def serve(folder: Path, smtp_port: int, http_port: int) -> None:
    """Take mails on one port and show them on another, until SIGTERM or SIGINT. For a main thread.

    Args:
        folder: where mails are kept.
        smtp_port, http_port: on the loopback address.

    Raises:
        OSError: a port is taken.
    """
    pages = make_server(_HOST, http_port, create_app(folder), threaded=True, request_handler=_Quiet)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # shutdown() waits for serve_forever to end, which this handler interrupts
        threading.Thread(target=pages.shutdown, daemon=True).start()

    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, stop)
    sink = mail_sink(folder, smtp_port)
    sink.start()
    try:
        pages.serve_forever(poll_interval=0.1)
    finally:
        sink.stop()
        pages.server_close()
