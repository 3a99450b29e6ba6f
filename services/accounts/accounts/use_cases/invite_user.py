"""Invite somebody into the organisation."""

from __future__ import annotations

from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain import emails
from accounts.domain.links import Purpose
from accounts.domain.roles import MANAGERS, check_role
from accounts.use_cases import _answers
from chassis.identity import Identity
from chassis.persistence import subject
from kernel.errors import conflict, not_found


def invite_user(app: App, caller: Identity, *, email: str, name: str, role: str) -> dict[str, Any]:
    """Have an invitation mailed. Asked again for the same address, a new mail goes out and the link before is dead.

    Whether the address belongs to a user of another organisation is not told here: its owner gets a mail that says why
    the invitation cannot be accepted.

    Args:
        app: the parts.
        caller: an admin, or a superuser of the platform's own organisation.
        email: to whom.
        name: the person's.
        role: which role the person is to have.

    Raises:
        Refusal: `forbidden`; `email_invalid`; `role_invalid`; `user_exists`: a user of this organisation has the
            address; `too_many_attempts`: too many invitations of late.
    """
    caller.require(*MANAGERS)
    address = emails.accepted(email)
    with app.database.transaction() as transaction:
        app.per_recipient.fail(transaction, [subject(f"{Purpose.INVITATION} to", address)])
        app.per_network.fail(transaction, [subject("invitations of", caller.organization_id)])
        organization = storage.organization(transaction, caller.organization_id, lock=True)
        if organization is None:
            raise not_found("organisation")
        check_role(role, platform=organization["platform"])
        known = storage.user_by_email(transaction, address)
        if known is not None and known["organization_id"] == caller.organization_id:
            raise conflict("user_exists", "A user of your organisation has this address.")
        for before in storage.open_invitations(transaction, caller.organization_id, email=address):
            storage.change_link(transaction, before["id"], {"ended_at": transaction.now})
        values = {
            "name": name, "role": role, "organization_id": caller.organization_id, "invited_by": caller.user_id,
            "language": organization["language"],
        }  # fmt: skip
        link_id = storage.add_link(transaction, Purpose.INVITATION, address, values)
        transaction.audit(caller, "user.invited", link_id, caller.organization_id, email=address, role=role)
        transaction.after_commit(app.wake_issuer)
        return _answers.invitation(
            {"id": link_id, "email": address, "name": name, "role": role, "requested_at": transaction.now}
        )
