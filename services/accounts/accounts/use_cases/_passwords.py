"""What those have in common who check passwords and set new ones."""

from __future__ import annotations

from accounts import storage
from accounts.domain.links import Notice
from accounts.messages import CREDENTIAL_REVOKED, NOTICE_ISSUED
from chassis.persistence import Row, Transaction, network_of, subject
from kernel.ids import new_id


def sign_in_subjects(email: str, client_address: str) -> tuple[str, str]:
    """For what wrong passwords are counted.

    Args:
        email: the normalised user name.
        client_address: where the request came from.
    """
    return subject("email", email), subject("address", network_of(client_address))


def password_changed(transaction: Transaction, person: Row, kept: str | None = None) -> None:
    """End the sessions of a locked user who has a new password, and have a mail say so.

    Args:
        transaction: the one that has set the password.
        person: as `storage.person_by_email` found it.
        kept: the digest of a session that goes on.
    """
    for digest in storage.session_digests(transaction, person["user_id"]):
        if digest != kept:
            storage.end_session(transaction, digest, person["user_id"])
            transaction.emit(CREDENTIAL_REVOKED, {"credential_digest": digest})
    recipient = {"email": person["email"], "name": person["user_name"], "language": person["language"]}
    transaction.emit(
        NOTICE_ISSUED, {"notice_id": new_id("ntc"), "purpose": str(Notice.PASSWORD_CHANGED), "recipient": recipient}
    )
