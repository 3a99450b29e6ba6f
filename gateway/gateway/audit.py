"""A line for each call of staff: who did what with what outcome. Nothing that they read or sent but what is noted."""

from __future__ import annotations

import functools
import logging
from typing import Any, cast

from flask import g

from gateway.web import View, credential
from kernel.errors import Refusal

_log = logging.getLogger("gateway.audit")


def audited(view: View) -> View:
    """Log every call of the route, refused ones too, with what the view has noted (`note`)."""
    action = view.__name__

    @functools.wraps(view)
    def checked(*args: Any, **values: Any) -> Any:
        outcome = "failed"
        try:
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

    return cast(View, checked)


def note(**facts: Any) -> None:
    """Say what the call at hand is about, for its line. Never a secret."""
    g.audited = {**g.get("audited", {}), **facts}
