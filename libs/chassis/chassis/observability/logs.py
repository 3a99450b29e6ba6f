"""Structured logs: one JSON object a line, with the correlation id; never a body, a secret, or a line break."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from chassis import context

# What every record has; anything else in it was given as `extra`. `taskName` is there from Python 3.12 on.
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _plain(value: Any) -> str:
    """What JSON has no word for."""
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


_write = json.JSONEncoder(default=_plain).encode


class _JsonLine(logging.Formatter):
    """A record as one line. Every request is logged, so this does nothing but that.

    Args:
        service: the name that stands in each line.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        given = vars(record)
        request = context.current()
        line: dict[str, Any] = {
            "at": self.formatTime(record),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": request.correlation_id if request else None,
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack_info"] = self.formatStack(record.stack_info)
        for key, value in given.items():
            if key not in _OF_EVERY_RECORD and not key.startswith("_"):
                line[key] = value
        return _write(line)


def configure(service: str, level: str = "INFO") -> None:
    """Send this process's logs to standard error as JSON lines.

    Args:
        service: the name that stands in each line.
        level: the lowest level that is written.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLine(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # no line says which thread or which line of code it is from, so nobody needs to find that out for each
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # as logging's HOWTO has it under "Optimization"
    # nameko logs a worker's failure with its arguments in reach; the chassis logs it itself, without them
    logging.getLogger("nameko.containers").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for chatty in ("amqp", "kombu", "urllib3", "nameko"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger(chatty).level))
