"""Keep what reconciliations of the whole store have found, and show it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from chassis.identity import STAFF, Identity
from chassis.observability.metrics import Sample
from credits.bootstrap import App
from credits.storage import reconciliations

_log = logging.getLogger(__name__)

#: Breaks that are written into the log one by one.
_MOST_LOGGED = 20


def record_reconciliation(
    app: App, caller: Identity, *, began_at: datetime, ended_at: datetime, looked_at: Mapping[str, int],
    breaks_count: int, breaks: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """Keep what one has found, and say loudly if anything is broken.

    Args:
        app: the service's parts.
        caller: staff; `punchcard reconcile --every` asks as such.
        began_at, ended_at: when it looked.
        looked_at: how much there was, by name.
        breaks_count: how many places are broken.
        breaks: the first of them: rule, subject, expected, found.

    Raises:
        Refusal: `forbidden` for customers.
    """
    caller.require(*STAFF)
    found = {
        "began_at": began_at, "ended_at": ended_at, "looked_at": dict(looked_at), "breaks_count": breaks_count,
        "breaks": list(breaks),
    }  # fmt: skip
    with app.database.transaction() as tx:
        reconciliation_id = reconciliations.add(tx, found)
    if breaks_count:
        _log.error("reconciliation: %d places are broken", breaks_count)
        for each in breaks[:_MOST_LOGGED]:
            _log.error(
                "broken: %s: %s: expected %d, found %d",
                each["rule"], each["subject"], each["expected"], each["found"],
            )  # fmt: skip
    return {"id": reconciliation_id}


def list_reconciliations(app: App, caller: Identity, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """What they have found, newest first.

    Raises:
        Refusal: `forbidden` for customers; `invalid_cursor`.
    """
    caller.require(*STAFF)
    with app.database.reading() as reader:
        items, following = reconciliations.listed(reader, limit, cursor)
    return {"items": items, "next": following}


def sampler(app: App) -> Callable[[], Iterator[Sample]]:
    """The gauges of the last one; none before the first."""

    def samples() -> Iterator[Sample]:
        with app.database.reading() as reader:
            last = reconciliations.newest(reader)
        if last is not None:
            yield "punchcard_reconciliation_breaks", (), last["breaks_count"]
            age = (app.database.clock.now() - last["ended_at"]).total_seconds()
            yield "punchcard_reconciliation_age_seconds", (), max(0.0, age)

    return samples
