"""A threaded server for the provider; a hanging card holds up nobody but its own caller."""

from __future__ import annotations

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class _QuietHandler(WSGIRequestHandler):
    """Keeps connections open between requests, as providers do, and writes no line a request."""

    protocol_version = "HTTP/1.1"
    #: Head and body leave apart: the second would wait for the client's word that the first has come.
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def threaded_server(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """A bound server: call `serve_forever`; `port` says where it listens (0 was any free one)."""
    return make_server(host, port, app, threaded=True, request_handler=_QuietHandler)
