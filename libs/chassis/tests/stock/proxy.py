"""A broker that may stop reading, as one does that is short of memory or of disk."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress

from kombu import Connection


class StallingProxy:
    """Stands between the clients of `uri` and the broker; `stall` keeps back what they send, until `resume`.

    Args:
        amqp_uri: the broker.
    """

    def __init__(self, amqp_uri: str) -> None:
        broker = Connection(amqp_uri)
        self._broker = (broker.hostname, broker.port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.uri = re.sub(r"@[^/]+", f"@127.0.0.1:{self._server.getsockname()[1]}", amqp_uri)
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        """Take no more clients; those that are connected stay so until they leave."""
        self.resume()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                broker = socket.create_connection(self._broker)
                threading.Thread(target=self._pump, args=(client, broker, self._flowing), daemon=True).start()
                threading.Thread(target=self._pump, args=(broker, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, gate: threading.Event | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if gate:
                    gate.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
