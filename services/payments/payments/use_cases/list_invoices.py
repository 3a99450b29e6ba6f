"""List invoices and credit notes, each in short: an organisation's own, or anybody's for staff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.identity import STAFF
from payments import invoice_storage as storage
from payments.use_cases.invoice_views import READERS, document_in_short

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App


def list_invoices(
    app: App, caller: Identity, *, limit: int, cursor: str | None = None, **wanted: Any
) -> dict[str, Any]:
    """A page of the documents of the caller's organisation, newest first.

    Args:
        app: the service's.
        caller: who asks.
        limit: documents at most.
        cursor: of the page before.
        wanted: see `payments.invoice_storage.page_of_documents`.

    Raises:
        Refusal: `forbidden`, `invalid_cursor`.
    """
    caller.require(*READERS)
    return _page(app, limit, cursor, {**wanted, "organization_id": caller.organization_id})


def search_invoices(
    app: App, caller: Identity, *, limit: int, cursor: str | None = None, **wanted: Any
) -> dict[str, Any]:
    """The same of any organisation, for staff.

    Raises:
        Refusal: `forbidden`, `invalid_cursor`.
    """
    caller.require(*STAFF)
    return _page(app, limit, cursor, wanted)


def _page(app: App, limit: int, cursor: str | None, wanted: dict[str, Any]) -> dict[str, Any]:
    with app.database.reading() as reader:
        rows, following = storage.page_of_documents(reader, wanted, limit, cursor)
    return {"items": [document_in_short(row) for row in rows], "next": following}
