"""Show the category tree."""

from __future__ import annotations

from typing import Any

from catalog import storage
from catalog.bootstrap import App


def list_categories(app: App) -> dict[str, Any]:
    """Every category that the newest catalogue file names, in its order."""
    with app.database.reading() as reader:
        rows = storage.shown_categories(reader)
    return {
        "items": [
            {"slug": row["slug"], "name": row["name"], "parent": row["parent"], "default": row["is_default"]}
            for row in rows
        ]
    }
