"""Check a catalogue file without touching the catalogue."""

from __future__ import annotations

from datetime import datetime

from catalog.catalogue_file import CatalogueFile, read_file
from catalog.domain.catalogue import CatalogueInvalid
from catalog.settings import Settings


def check_catalogue(settings: Settings, text: str, now: datetime) -> CatalogueFile:
    """Everything that can be checked without the database.

    Args:
        settings: the store's.
        text: YAML or JSON.
        now: the moment at which some terms must be in force.

    Returns:
        The file, which is sound.

    Raises:
        CatalogueInvalid: naming every problem with its line.
    """
    file = read_file(text, store_currency=settings.currency, now=now)
    if file.problems:
        raise CatalogueInvalid(file.problems)
    return file
