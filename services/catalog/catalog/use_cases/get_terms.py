"""Show the terms in force."""

from __future__ import annotations

from typing import Any

from catalog import storage
from catalog.bootstrap import App
from kernel.errors import not_found


def get_terms(app: App) -> dict[str, Any]:
    """The terms that were published last; a version with a later date waits for it.

    Raises:
        Refusal: `not_found`: no catalogue has been imported yet.
    """
    with app.database.reading() as reader:
        row = storage.terms_in_force(reader)
    if row is None:
        raise not_found("version of the terms")
    return dict(row)
