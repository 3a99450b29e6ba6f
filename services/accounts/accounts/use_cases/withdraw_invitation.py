"""Take an invitation back."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.roles import MANAGERS
from chassis.identity import Identity
from kernel.errors import not_found


def withdraw_invitation(app: App, caller: Identity, *, id: str) -> dict[str, Any]:
    """Let an invitation that nobody has accepted be worth nothing.

    Raises:
        Refusal: `forbidden`; `not_found`: there is none, it is another organisation's, or it was accepted or withdrawn.
    """
    caller.require(*MANAGERS)
    with app.database.transaction() as transaction:
        storage.organization(transaction, caller.organization_id, lock=True)
        if not storage.open_invitations(transaction, caller.organization_id, link_id=id):
            raise not_found("invitation")
        storage.change_link(transaction, id, {"ended_at": transaction.now})
        transaction.audit(caller, "user.invitation_withdrawn", id, caller.organization_id)
    return {}
