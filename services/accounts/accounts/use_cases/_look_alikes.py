"""Find deployments that somebody may see side by side and take one for the other."""

from __future__ import annotations

from collections.abc import Sequence

from accounts import storage
from accounts.domain.deployments import look_alike
from chassis.persistence import Transaction


def neighbours(transaction: Transaction, organization_id: str) -> set[str]:
    """The organisations whose deployments somebody may see next to this one's: its own, those of whoever manages it,
    of whom they manage as well, and of whom it manages itself.

    Its managers are locked, always after the organisation itself (which the caller has locked), so that two
    registrations under one manager see each other's look-alikes.
    """
    found = {organization_id, *storage.managed(transaction, organization_id)}
    for manager in storage.managers(transaction, organization_id):
        storage.organization(transaction, manager, lock=True)
        found |= {manager, *storage.managed(transaction, manager)}
    return found


def note_look_alikes(
    transaction: Transaction, deployments: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]
) -> None:
    """Note which of some deployments, each an (id, name), look like which of others."""
    pairs = [(one[0], other[0]) for one in deployments for other in others if look_alike(one, other)]
    storage.add_similar(transaction, [pair for pair in pairs if pair[0] != pair[1]])
