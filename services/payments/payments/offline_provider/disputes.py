"""Disputes: payers who have their bank take a charge back, and what the card network decides.

One for each charge at most. While one is open, and once it is lost, the charge cannot be refunded: the payer would have
the money twice.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kernel.clock import rfc3339

if TYPE_CHECKING:
    from payments.offline_provider.book import Book

OPEN, WON, LOST = "open", "won", "lost"
#: What a merchant may read as the reason.
REASONS = ("not_recognized", "fraudulent", "not_received", "not_as_described", "charged_twice")
#: For so long the network waits for evidence.
_EVIDENCE_TIME = timedelta(days=14)
_AS_THEY_STAND = (
    "SELECT dispute.*, COALESCE(dispute_outcome.outcome, 'open') AS status, dispute_outcome.created_at AS closed_at"
    " FROM dispute LEFT JOIN dispute_outcome ON dispute_outcome.dispute_id = dispute.id"
)


class NotDisputableError(Exception):
    """There is no such charge, it took no money or not so much, or it is disputed already."""


class DisputeOverError(Exception):
    """It was decided before.

    Args:
        outcome: ``won`` or ``lost``.
    """

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Disputes:
    """The disputes in a book.

    Args:
        book: with the charges.
    """

    def __init__(self, book: Book) -> None:
        self._book = book

    def open(self, charge_id: str, reason: str, amount_minor: int | None = None) -> dict[str, Any]:
        """A payer disputes a charge, or some of it. Committed when this returns.

        Args:
            charge_id: the charge.
            reason: one of `REASONS`.
            amount_minor: how much; None for what was not given back.

        Raises:
            NotDisputableError: it cannot be.
        """
        with self._book.transaction():
            charge = self._book.one("SELECT * FROM charge WHERE id = ?", charge_id)
            if charge is None or charge["status"] != "succeeded" or of_charge(self._book, charge_id):
                raise NotDisputableError
            left = charge["amount_minor"] - self._book.given_back(charge_id)
            amount = left if amount_minor is None else amount_minor
            if not 0 < amount <= left:
                raise NotDisputableError
            return add(self._book, charge, amount, reason)

    def close(self, dispute_id: str, outcome: str) -> dict[str, Any] | None:
        """The network decides; again with the same outcome changes nothing. Committed when this returns.

        Returns:
            The dispute; None if there is none.

        Raises:
            DisputeOverError: it was decided otherwise.
        """
        with self._book.transaction():
            known = self._find(dispute_id)
            if known is None or known["status"] == outcome:
                return known
            if known["status"] != OPEN:
                raise DisputeOverError(known["status"])
            moment = rfc3339(self._book.clock.now())
            self._book.execute("INSERT INTO dispute_outcome VALUES (?, ?, ?)", (dispute_id, outcome, moment))
            _note_change(self._book, "dispute.closed", known)
            return self._find(dispute_id)

    def add_evidence(self, dispute_id: str, text: str) -> dict[str, Any] | None:
        """The merchant says why the charge was right; the same words again change nothing. Committed when this returns.

        Returns:
            The dispute; None if there is none.

        Raises:
            DisputeOverError: it is decided.
        """
        with self._book.transaction():
            known = self._find(dispute_id)
            if known is None:
                return None
            moment = rfc3339(self._book.clock.now())
            said = self._book.execute(
                "SELECT 1 FROM dispute_evidence WHERE dispute_id = ? AND text = ?", (dispute_id, text)
            ).fetchone()
            if said is None:
                if known["status"] != OPEN:
                    raise DisputeOverError(known["status"])
                self._book.execute("INSERT INTO dispute_evidence VALUES (?, ?, ?)", (dispute_id, text, moment))
            return known

    def changed(self, after: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Disputes that were opened or closed since, as they are now, and where to go on.

        Args:
            after: where the list before ended; 0 for the first one.
            limit: changes at most.
        """
        with self._book.transaction():
            changes = self._book.execute(
                "SELECT * FROM dispute_change WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
            ).fetchall()
            found = {change["dispute_id"]: self._find(change["dispute_id"]) for change in changes}
        return [each for each in found.values() if each], changes[-1]["sequence"] if changes else after

    def by_reference(self, reference: str) -> list[dict[str, Any]]:
        """The disputes of charges with a reference, oldest first."""
        with self._book.transaction():
            rows = self._book.execute(f"{_AS_THEY_STAND} WHERE reference = ? ORDER BY dispute.rowid", (reference,))
            return [_as_json(row) for row in rows.fetchall()]

    def _find(self, dispute_id: str) -> dict[str, Any] | None:
        row = self._book.one(f"{_AS_THEY_STAND} WHERE dispute.id = ?", dispute_id)
        return _as_json(row) if row else None


def add(book: Book, charge: Mapping[str, Any] | sqlite3.Row, amount_minor: int, reason: str) -> dict[str, Any]:
    """Write a dispute down, with the news of it; inside a transaction."""
    now = book.clock.now()
    dispute = {
        "id": f"dp_{secrets.token_hex(16)}", "charge_id": charge["id"], "amount_minor": amount_minor,
        "currency": charge["currency"], "reference": charge["reference"],
        "idempotency_key": charge["idempotency_key"], "reason": reason,
        "evidence_due_at": rfc3339(now + _EVIDENCE_TIME), "created_at": rfc3339(now),
    }  # fmt: skip
    book.execute(
        "INSERT INTO dispute (id, charge_id, amount_minor, currency, reference, idempotency_key, reason,"
        " evidence_due_at, created_at) VALUES (:id, :charge_id, :amount_minor, :currency, :reference,"
        " :idempotency_key, :reason, :evidence_due_at, :created_at)",
        dispute,
    )
    _note_change(book, "dispute.opened", dispute)
    return _as_json({**dispute, "status": OPEN, "closed_at": None})


def of_charge(book: Book, charge_id: str) -> dict[str, Any] | None:
    """The dispute of a charge, if there is one; inside a transaction."""
    row = book.one(f"{_AS_THEY_STAND} WHERE charge_id = ?", charge_id)
    return _as_json(row) if row else None


def holds_money(book: Book, charge_id: str) -> bool:
    """Whether a charge cannot be refunded; inside a transaction."""
    dispute = of_charge(book, charge_id)
    return dispute is not None and dispute["status"] != WON


def _note_change(book: Book, kind: str, dispute: Mapping[str, Any]) -> None:
    moment = rfc3339(book.clock.now())
    book.execute("INSERT INTO dispute_change (dispute_id, created_at) VALUES (?, ?)", (dispute["id"], moment))
    book.add_news(kind, dispute["idempotency_key"])


def _as_json(row: sqlite3.Row | Mapping[str, Any]) -> dict[str, Any]:
    public = (
        "id", "charge_id", "idempotency_key", "reference", "amount_minor", "currency", "reason", "status",
        "evidence_due_at", "created_at", "closed_at",
    )  # fmt: skip
    return {name: row[name] for name in public}
