"""Tell which deployments the caller may name."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.use_cases import _answers
from chassis.identity import Identity


def check_deployments(app: App, caller: Identity, *, ids: list[str]) -> dict[str, Any]:
    """Those of `ids` that the caller's organisation owns or manages, by id, each once, retired ones too."""
    with app.database.reading() as reader:
        rows = storage.deployments(reader, caller.organization_id, set(ids))
        return {"items": _answers.deployments(reader, rows)}
