"""Make a user known."""

from __future__ import annotations

from accounts import storage
from accounts.bootstrap import App
from accounts.domain import emails
from accounts.domain.roles import check_role
from chassis.persistence import Row
from kernel.errors import conflict, not_found
from kernel.ids import new_id


def register_user(
    app: App,
    *,
    organization_id: str,
    email: str,
    name: str,
    password: str,
    role: str,
    language: str = "en",
    id: str | None = None,
) -> str:
    """Register a user. Safe to repeat: one that exists keeps everything, the password too.

    Args:
        app: the parts.
        organization_id: an organisation that exists.
        email: the user name; normalised, unique in the whole store.
        name: for people.
        password: in clear, from the composition root; never from the bus.
        role: a customer's in a customer's organisation, a staff role in a platform organisation.
        language: of mails, as a BCP 47 tag.
        id: a fixed id; made here unless given.

    Returns:
        The user's id.

    Raises:
        Refusal: `email_invalid`; `not_found` organisation; `role_invalid`; `user_exists`: the address or the id
            belongs to another user.
    """
    address = emails.accepted(email)
    with app.database.reading() as reader:
        organization = storage.organization(reader, organization_id)
        known = storage.user_by_email(reader, address)
    if organization is None:
        raise not_found("organisation")
    check_role(role, platform=organization["platform"])
    if known is None:
        password_hash = app.passwords.hash(password)
        with app.database.transaction() as transaction:
            values = {
                "id": id or new_id("usr"), "organization_id": organization_id, "email": address, "name": name,
                "role": role, "language": language, "password_hash": password_hash, "created_at": transaction.now,
            }  # fmt: skip
            transaction.insert_new(storage.USER, values)
            known = storage.user_by_email(transaction, address)
    return _same(known, organization_id, id)


def _same(user: Row | None, organization_id: str, user_id: str | None) -> str:
    if user is None or user["organization_id"] != organization_id or user_id not in (None, user["id"]):
        raise conflict("user_exists", "Another user has this address or id.")
    return str(user["id"])
