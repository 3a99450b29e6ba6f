"""Routes of staff: for nobody else, and with a line for each call: who did what with what outcome.

Nothing that they read or sent is in the line but what is noted. Which of the staff may do what, the services know.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, cast

from flask import g

from chassis.identity import STAFF
from gateway.web import Blueprint, View, credential
from kernel.errors import Kind, Refusal

_log = logging.getLogger("gateway.audit")

#: How the OpenAPI document marks them.
FOR_STAFF = "x-for-staff"


def audited(view: View) -> View:
    """Keep customers out, and log every call of the route, refused ones too, with what the view has noted (`note`).

    Raises:
        Refusal: `forbidden`, before anybody looks at what was sent.
    """
    action = view.__name__

    @functools.wraps(view)
    def checked(*args: Any, **values: Any) -> Any:
        outcome = "failed"
        try:
            if credential().user["role"] not in STAFF:
                raise Refusal(Kind.FORBIDDEN, "forbidden", "This is for the staff of the store.")
            response = view(*args, **values)
            outcome = "done"
            return response
        except Refusal as refusal:
            outcome = refusal.code
            raise
        finally:
            who = credential()
            _log.info(
                "staff call",
                extra={
                    "action": action,
                    "user_id": who.user["id"],
                    "role": who.user["role"],
                    "outcome": outcome,
                    "about": g.get("audited", {}),
                },
            )

    documented = cast(View, Blueprint.doc(**{FOR_STAFF: True})(checked))
    documented.for_staff = True  # type: ignore[attr-defined]  # a mark on the view, for whoever goes through all of them
    return documented


def note(**facts: Any) -> None:
    """Say what the call at hand is about, for its line. Never a secret."""
    g.audited = {**g.get("audited", {}), **facts}
