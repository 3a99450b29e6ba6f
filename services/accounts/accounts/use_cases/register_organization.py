"""Make an organisation known."""

from __future__ import annotations

from accounts import storage
from accounts.bootstrap import App
from kernel.errors import conflict


def register_organization(app: App, *, id: str, number: int, name: str, platform: bool = False) -> str:
    """Register an organisation. Safe to repeat: one that exists stays as it is.

    Args:
        app: the parts.
        id: such as ``org_acme``.
        number: what people know it by (1003), unique.
        name: for people.
        platform: whether it runs the store; only such an organisation has staff.

    Returns:
        The id.

    Raises:
        Refusal: `number_in_use`: another organisation has the number.
    """
    with app.database.transaction() as transaction:
        values = {
            "id": id, "number": number, "name": name, "platform": platform, "created_at": transaction.now,
        }  # fmt: skip
        new = transaction.insert_new(storage.ORGANIZATION, values)
        if not new and storage.organization(transaction, id) is None:
            raise conflict("number_in_use", f"Another organisation has the number {number}.")
    return id
