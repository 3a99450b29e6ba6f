"""Deployments: their ids, their states, and when two are so alike that a buyer may pick the wrong one.

A licence cannot be moved once it is bound, so a look-alike is pointed out before (clauses 8 and 9 of the mission).
The rule is exact and can be explained to the buyer ("one character differs"), which a similarity ratio cannot.
"""

from __future__ import annotations

import re
from enum import StrEnum

from accounts.domain.text import folded
from kernel.errors import invalid

# Digits, as people read them out. At most 12, so that one can never be mistaken for a payment card's number (13 and
# more), which is refused wherever it appears.
_ID = re.compile(r"[0-9]{1,12}")
#: Shorter names and ids differ visibly by one character.
_SHORTEST_ALIKE = 4


class State(StrEnum):
    """Whether something new can still be bound to a deployment."""

    ACTIVE = "active"
    RETIRED = "retired"


def check_id(deployment_id: str) -> None:
    """Refuse what is not a deployment's id.

    Raises:
        Refusal: `deployment_id_invalid`.
    """
    if not _ID.fullmatch(deployment_id):
        raise invalid("deployment_id_invalid", "A deployment's id has 1 to 12 digits.", "id")


def look_alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two deployments, each an (id, name), are near-identical by id or by name."""
    return _one_edit_apart(one[0], other[0]) or _alike_names(_letters(one[1]), _letters(other[1]))


def _alike_names(one: str, other: str) -> bool:
    return one == other or _one_edit_apart(one, other)


def _letters(name: str) -> str:
    """What is left of a name without case, blanks and punctuation: ``HQ Berlin-1`` and ``hq_berlin 1`` are the same."""
    text = folded(name)
    return "".join(character for character in text if character.isalnum()) or text


def _one_edit_apart(one: str, other: str) -> bool:
    """Whether one character added, removed or replaced, or two neighbours swapped, makes `other` of `one`."""
    if len(one) > len(other):
        one, other = other, one
    if len(one) < _SHORTEST_ALIKE or len(other) - len(one) > 1 or one == other:
        return False
    start = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    replaced = one[start + 1 :] == other[start + 1 :]
    swapped = one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]
    return replaced or swapped
