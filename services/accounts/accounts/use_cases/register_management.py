"""Make known who manages whom."""

from __future__ import annotations

from accounts.bootstrap import App
from accounts.use_cases.manage_organization import manage


def register_management(app: App, *, manager_id: str, managed_id: str) -> None:
    """Let an organisation manage another. Safe to repeat.

    Raises:
        Refusal: `not_found`; `cannot_manage`.
    """
    with app.database.transaction() as transaction:
        manage(transaction, manager_id, managed_id, None)
