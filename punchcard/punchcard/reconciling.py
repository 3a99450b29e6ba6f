"""Reconcile again and again while the store works, and keep what comes out where operators see it.

The rules are those of `punchcard.reconcile`. credits keeps the results (`GET /v1/admin/reconciliation`), shows them as
metrics and logs every break.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests

from kernel.clock import rfc3339
from kernel.errors import Refusal
from punchcard.reconcile import Book, Client, Depths, Report, reconcile

_log = logging.getLogger(__name__)

#: The variable that says how many seconds are between two; 0: none. And what it is unless told.
RECONCILE_EVERY, RECONCILE_EVERY_S = "PUNCHCARD_RECONCILE_EVERY_S", "300"
#: Breaks that are kept of one reconciliation; their number is kept whatever it is.
_MOST_KEPT = 200
_LONGEST = 200


def keep_reconciling(
    client: Client, wait: Callable[[float], bool], *, every_s: float, patience_s: float, book: Book | None = None,
    depths: Depths | None = None,
) -> None:  # fmt: skip
    """Reconcile until told to stop.

    Args:
        client: asks the services as staff.
        wait: waits for so many seconds; True if it is time to stop.
        every_s: seconds between two.
        patience_s, book, depths: as for `reconcile`.
    """
    while not wait(every_s):
        reconcile_once(client, patience_s=patience_s, book=book, depths=depths)


def reconcile_once(
    client: Client, *, patience_s: float, book: Book | None = None, depths: Depths | None = None
) -> Report | None:
    """Reconcile and have the result kept; None if the store could not be asked, which the next time may be over.

    That nothing came of it for a while shows in the age of the last result.
    """
    began = datetime.now(UTC)
    try:
        report = reconcile(client, book=book, depths=depths, patience_s=patience_s)
        client.call("credits", "record_reconciliation", _record(report, began))
    except (Refusal, OSError, requests.RequestException) as problem:
        _log.warning("the store could not be reconciled: %s", problem)
        return None
    for found in report.breaks[:_MOST_KEPT]:
        _log.error("broken: %s", found)
    return report


def _record(report: Report, began: datetime) -> dict[str, Any]:
    return {
        "began_at": rfc3339(began),
        "ended_at": rfc3339(datetime.now(UTC)),
        "looked_at": report.counts,
        "breaks_count": len(report.breaks),
        "breaks": [
            {
                "rule": found.rule[:_LONGEST],
                "subject": found.subject[:_LONGEST],
                "expected": found.expected,
                "found": found.found,
            }
            for found in report.breaks[:_MOST_KEPT]
        ],
    }
