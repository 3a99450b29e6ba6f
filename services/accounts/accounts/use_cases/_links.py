"""What sign-ups, password resets and invitations have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts import storage
from accounts.bootstrap import App
from accounts.domain.links import Purpose, token_invalid
from accounts.domain.new_passwords import check_new
from chassis.persistence import network_of, subject
from kernel.errors import invalid


def opened(app: App, sealed_password: str) -> str:
    """A password that was sealed for accounts.

    Raises:
        Refusal: `password_unreadable`.
    """
    try:
        return app.opener.open(sealed_password)
    except ValueError as error:
        raise invalid("password_unreadable", "The password was not sealed for accounts.", "sealed_password") from error


def hash_of_new_password(app: App, purpose: Purpose, token_digest: str, sealed_password: str) -> str:
    """The hash of a password that somebody chooses by a link, which stays good: who uses it up looks at it again.

    Args:
        app: the parts.
        purpose: of the link.
        token_digest: SHA-256 of the token in the mail, hexadecimal.
        sealed_password: sealed for accounts by the gateway.

    Raises:
        Refusal: `password_unreadable`; `token_invalid`; `password_too_short`, `password_too_simple`.
    """
    password = opened(app, sealed_password)
    with app.database.reading() as reader:
        link = storage.good_link(reader, purpose, token_digest)
    if link is None:
        raise token_invalid()  # before the work that a hash is
    check_new(password, link["email"])
    return app.passwords.hash(password)


def check_limits(app: App, purpose: Purpose, email: str, client_address: str) -> None:
    """Refuse before any work what `want_link` would refuse.

    Raises:
        Refusal: `too_many_attempts`.
    """
    recipient, network = _subjects(purpose, email, client_address)
    with app.database.reading() as reader:
        app.per_recipient.check(reader, [recipient])
        app.per_network.check(reader, [network])


def want_link(app: App, purpose: Purpose, email: str, client_address: str, values: Mapping[str, Any]) -> None:
    """Note that somebody wants a link mailed to an address, and count that.

    The same is done whether or not the address is anybody's, so that neither the answer nor its time tells; what is
    mailed is decided afterwards (`issue_links`).

    Args:
        app: the parts.
        purpose: of the link.
        email: normalised.
        client_address: where the request came from.
        values: further columns.

    Raises:
        Refusal: `too_many_attempts`: for this address, or from this network, an hour must pass.
    """
    recipient, network = _subjects(purpose, email, client_address)
    with app.database.transaction() as transaction:
        app.per_recipient.fail(transaction, [recipient])
        app.per_network.fail(transaction, [network])
        storage.add_link(transaction, purpose, email, values)
        transaction.after_commit(app.wake_issuer)


def _subjects(purpose: Purpose, email: str, client_address: str) -> tuple[str, str]:
    return subject(f"{purpose} to", email), subject("mails from", network_of(client_address))
