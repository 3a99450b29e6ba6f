"""How text is compared: whatever the case, and whatever way Unicode has of writing the same."""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """The form in which two texts are compared.

    Case folding and compatibility composition as the Unicode Standard has them (section 3.13, default caseless
    matching), done here because SQLite folds ASCII only and PostgreSQL folds by the database's locale.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
