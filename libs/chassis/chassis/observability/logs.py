"""Structured logs: one JSON object a line, with the correlation id; never a body, a secret, or a line break."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from chassis import context


class _Correlate(logging.Filter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "service"):
            record.service = self._service
        if not hasattr(record, "correlation_id"):
            request = context.current()
            record.correlation_id = request.correlation_id if request else None
        return True


def configure(service: str, level: str = "INFO") -> None:
    """Send this process's logs to standard error as JSON lines.

    Args:
        service: the name that stands in each line.
        level: the lowest level that is written.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(service)s %(name)s %(message)s %(correlation_id)s",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
        )
    )
    handler.addFilter(_Correlate(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # nameko logs a worker's failure with its arguments in reach; the chassis logs it itself, without them
    logging.getLogger("nameko.containers").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for chatty in ("amqp", "kombu", "urllib3", "nameko"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger(chatty).level))
