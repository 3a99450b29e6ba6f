"""Make the links that were asked for, and have them mailed."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.links import LIFETIME, Notice, Purpose
from accounts.messages import NOTICE_ISSUED
from chassis.context import RequestContext, entered
from chassis.persistence import Row, Transaction

#: Links that are made in one transaction.
_BATCH = 20


def issue_links(app: App) -> int:
    """Decide about every link that was asked for; how many there were.

    Only here does it matter whether an address is a user's: nobody waits for this, so nobody can measure it. A token
    is in clear in memory and in the mail; the event carries it sealed for notifications, the database its digest.
    """
    decided = 0
    while True:
        with app.database.transaction() as transaction:
            links = storage.links_to_issue(transaction, _BATCH)
            for link in links:
                with entered(RequestContext(link["correlation_id"])):
                    _issue(app, transaction, link)
        decided += len(links)
        if len(links) < _BATCH:
            return decided


def _issue(app: App, transaction: Transaction, link: Row) -> None:
    purpose = Purpose(link["purpose"])
    user = storage.user_by_email(transaction, link["email"])
    if purpose is Purpose.PASSWORD_RESET:
        if user is not None and user["deactivated_at"] is None:
            _mail_link(app, transaction, link, purpose, _person(user))
            return
    elif user is None:
        # Whoever signs up chooses the names, and the address may be a stranger's: they are no part of that mail.
        name = link["name"] if purpose is Purpose.INVITATION else None
        _mail_link(app, transaction, link, purpose, _person({**link, "name": name}))
        return
    else:
        known = Notice.SIGN_UP_REPEATED if purpose is Purpose.CONFIRMATION else Notice.INVITATION_IMPOSSIBLE
        notice = {"notice_id": link["id"], "purpose": str(known), "recipient": _person(user)}
        transaction.emit(NOTICE_ISSUED, {**notice, "organization_name": _organization_name(transaction, link)})
    # An invitation of somebody else's user goes on looking like any other to the admin who wrote it.
    ended = {} if purpose is Purpose.INVITATION else {"ended_at": transaction.now}
    storage.change_link(transaction, link["id"], {"issued_at": transaction.now, **ended})


def _mail_link(app: App, transaction: Transaction, link: Row, purpose: Purpose, recipient: dict[str, Any]) -> None:
    token = secrets.token_urlsafe(32)
    expires_at = transaction.now + LIFETIME[purpose]
    values = {
        "issued_at": transaction.now, "digest": hashlib.sha256(token.encode()).hexdigest(), "expires_at": expires_at,
    }  # fmt: skip
    storage.change_link(transaction, link["id"], values)
    transaction.emit(
        NOTICE_ISSUED,
        {
            "notice_id": link["id"], "purpose": str(purpose), "recipient": recipient,
            "organization_name": _organization_name(transaction, link), "sealed_token": app.sealer.seal(token),
            "expires_at": expires_at,
        },
    )  # fmt: skip


def _person(row: Row) -> dict[str, Any]:
    return {"email": row["email"], "name": row["name"] or "", "language": row["language"] or "en"}


def _organization_name(transaction: Transaction, link: Row) -> str | None:
    """The organisation that invites."""
    organization = storage.organization(transaction, link["organization_id"] or "")
    return None if organization is None else str(organization["name"])
