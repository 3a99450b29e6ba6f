"""The provider's book, in SQLite: tokens, charges, voided keys, refunds and disputes, append-only; and the news to be
sent.

No card number is ever written.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kernel.clock import Clock, SystemClock, rfc3339
from payments.offline_provider import disputes
from payments.offline_provider.cards import PROVIDER_TOKENS, REFUSALS, REFUSED_FOR, Behaviour

_TABLES = """
CREATE TABLE IF NOT EXISTS token (
    id TEXT PRIMARY KEY, brand TEXT NOT NULL, last4 TEXT NOT NULL, behaviour TEXT NOT NULL,
    reusable INTEGER NOT NULL, created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS charge (
    id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE, request_hash TEXT NOT NULL, token TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('succeeded', 'failed')),
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), currency TEXT NOT NULL, reference TEXT NOT NULL,
    brand TEXT, last4 TEXT, behaviour TEXT, error_code TEXT, created_at TEXT NOT NULL,
    CHECK ((status = 'failed') = (error_code IS NOT NULL))
);
CREATE TABLE IF NOT EXISTS refund (
    id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE, request_hash TEXT NOT NULL, charge_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('succeeded', 'failed')),
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), currency TEXT NOT NULL, reference TEXT,
    error_code TEXT, created_at TEXT NOT NULL,
    CHECK ((status = 'failed') = (error_code IS NOT NULL))
);
CREATE TABLE IF NOT EXISTS challenge (
    id TEXT PRIMARY KEY, charge_id TEXT NOT NULL UNIQUE, idempotency_key TEXT NOT NULL UNIQUE,
    request_hash TEXT NOT NULL, token TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    reference TEXT NOT NULL, brand TEXT NOT NULL, last4 TEXT NOT NULL, behaviour TEXT NOT NULL,
    url TEXT NOT NULL, expires_at TEXT NOT NULL, created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS token_expiry (
    token TEXT PRIMARY KEY, exp_month INTEGER NOT NULL, exp_year INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS card_on_file (
    id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE, token TEXT NOT NULL, brand TEXT NOT NULL,
    last4 TEXT NOT NULL, behaviour TEXT NOT NULL, exp_month INTEGER NOT NULL, exp_year INTEGER NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS forgotten (card_id TEXT PRIMARY KEY, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dispute (
    id TEXT PRIMARY KEY, charge_id TEXT NOT NULL UNIQUE, amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL, reference TEXT NOT NULL, idempotency_key TEXT NOT NULL, reason TEXT NOT NULL,
    evidence_due_at TEXT NOT NULL, created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS dispute_evidence (
    dispute_id TEXT NOT NULL, text TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (dispute_id, text)
);
CREATE TABLE IF NOT EXISTS dispute_outcome (
    dispute_id TEXT PRIMARY KEY, outcome TEXT NOT NULL CHECK (outcome IN ('won', 'lost')), created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS dispute_change (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, dispute_id TEXT NOT NULL, created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dispute_reference ON dispute (reference);
CREATE INDEX IF NOT EXISTS refund_charge ON refund (charge_id);
CREATE INDEX IF NOT EXISTS refund_reference ON refund (reference);
CREATE INDEX IF NOT EXISTS charge_reference ON charge (reference);
CREATE INDEX IF NOT EXISTS charge_token ON charge (token);
CREATE TABLE IF NOT EXISTS void (idempotency_key TEXT PRIMARY KEY, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS news (
    event_id TEXT NOT NULL, copy INTEGER NOT NULL, type TEXT NOT NULL, idempotency_key TEXT NOT NULL,
    created_at TEXT NOT NULL, due_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, ended_at TEXT,
    PRIMARY KEY (event_id, copy)
);
CREATE INDEX IF NOT EXISTS news_due ON news (due_at) WHERE ended_at IS NULL;
"""
_APPENDED = (
    "token", "token_expiry", "charge", "challenge", "card_on_file", "forgotten", "void", "refund", "dispute",
    "dispute_evidence", "dispute_outcome", "dispute_change",
)  # fmt: skip
_APPEND_ONLY = """
CREATE TRIGGER IF NOT EXISTS {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the book is append-only'); END;
"""


class KeyVoidedError(Exception):
    """The idempotency key was given up before anything was charged under it."""


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell the merchant.

    Args:
        event_id: the same for every copy of the news.
        copy: which copy: each is delivered by itself.
        attempts: how often its delivery was tried.
        event: the webhook's body.
    """

    event_id: str
    copy: int
    attempts: int
    event: dict[str, Any]


class CardRefusedError(Exception):
    """A card is not kept.

    Args:
        code: one of `REFUSALS`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ChallengeOverError(Exception):
    """The payer confirms, or refuses to, what is decided already.

    Args:
        outcome: what was decided: ``succeeded``, ``failed`` or ``voided``.
    """

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class KeyReusedError(Exception):
    """The idempotency key came with another body before."""


class Book:
    """Tokens and charges. One connection, one statement of business at a time.

    Args:
        path: the SQLite file; made if it is not there.
        token_lifetime: after which a one-time token is refused.
        clock: where the times in the book come from.
        news_after_s: seconds after which each copy of every piece of news is due; none: nobody wants any.
        challenge_lifetime: after which a payment that its payer has not confirmed is refused.
    """

    def __init__(
        self,
        path: Path | str,
        token_lifetime: timedelta,
        clock: Clock | None = None,
        news_after_s: Sequence[float] = (),
        challenge_lifetime: timedelta = timedelta(minutes=15),
    ) -> None:
        self._challenge_lifetime = challenge_lifetime
        self._news_after_s = news_after_s
        self.clock = clock or SystemClock()
        self._token_lifetime = token_lifetime
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=15, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        # NORMAL with a write-ahead log: a killed process loses nothing; a power cut may, which a test book can bear.
        self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_TABLES}")
        for table in _APPENDED:
            for verb in ("UPDATE", "DELETE"):
                self._connection.executescript(_APPEND_ONLY.format(table=table, verb=verb))
        for behaviour, token in PROVIDER_TOKENS.items():
            self._add_token(token, "visa", "4242", Behaviour(behaviour), reusable=True)

    def new_token(self, brand: str, last4: str, behaviour: Behaviour, expiry: tuple[int, int] | None = None) -> str:
        """A token for one charge, or for keeping the card.

        Args:
            brand, last4: what may be known of the card.
            behaviour: what becomes of its charges.
            expiry: its month and year; far ahead unless given.
        """
        token = f"tok_{secrets.token_hex(16)}"
        self._add_token(token, brand, last4, behaviour, reusable=False)
        if expiry is not None:
            with self.transaction() as connection:
                connection.execute("INSERT INTO token_expiry VALUES (?, ?, ?)", (token, *expiry))
        return token

    def keep_card(self, key: str, token_id: str) -> dict[str, Any]:
        """Keep the card of a token, or of a charge, for later charges. Committed when this returns.

        Args:
            key: same key, same card.
            token_id: of the card; a one-time token has served then. Or the id of a charge that took its money.

        Raises:
            KeyReusedError: the key belongs to another token.
            CardRefusedError: the card is no good.
        """
        with self.transaction() as connection:
            known = self.one("SELECT * FROM card_on_file WHERE idempotency_key = ?", key)
            if known is not None:
                if known["token"] != token_id:
                    raise KeyReusedError
                return _card_as_json(known)
            charged = self.one("SELECT * FROM charge WHERE id = ? AND status = 'succeeded'", token_id)
            token = charged or self.one("SELECT * FROM token WHERE id = ?", token_id)
            error = None if charged else self._reason_to_refuse(token)
            if token is None or error is not None:
                raise CardRefusedError(error or "token_unknown")
            expiry = self.one(
                "SELECT * FROM token_expiry WHERE token = ?", charged["token"] if charged else token_id
            )  # fmt: skip
            row = {
                "id": f"card_{secrets.token_hex(16)}",
                "idempotency_key": key,
                "token": token_id,
                **{name: token[name] for name in ("brand", "last4", "behaviour")},
                "exp_month": expiry["exp_month"] if expiry else 12,
                "exp_year": expiry["exp_year"] if expiry else self.clock.now().year + 3,
                "created_at": rfc3339(self.clock.now()),
            }
            connection.execute(
                "INSERT INTO card_on_file (id, idempotency_key, token, brand, last4, behaviour, exp_month, exp_year,"
                " created_at) VALUES (:id, :idempotency_key, :token, :brand, :last4, :behaviour, :exp_month, :exp_year,"
                " :created_at)",
                row,
            )
        return _card_as_json(row)

    def forget_card(self, card_id: str) -> bool:
        """Have a card charged no more; False if there is none."""
        with self.transaction() as connection:
            if self.one("SELECT id FROM card_on_file WHERE id = ?", card_id) is None:
                return False
            connection.execute(
                "INSERT OR IGNORE INTO forgotten VALUES (?, ?)", (card_id, rfc3339(self.clock.now()))
            )  # fmt: skip
        return True

    def charge(
        self, key: str, request: Mapping[str, Any], base_url: str = "http://localhost"
    ) -> tuple[dict[str, Any], Behaviour | None]:
        """Charge, or refuse, or ask the payer to confirm, and write that down. Committed when this returns.

        Args:
            key: same key, same charge.
            request: a loaded `ChargeRequest`.
            base_url: of the pages on which payers confirm.

        Returns:
            The charge as JSON values, and how its answer is to behave; None for a charge that stood there before.

        Raises:
            KeyReusedError: the key belongs to another request.
            KeyVoidedError: the key was given up.
        """
        digest = _digest(request)
        with self.transaction():
            known = self.one("SELECT * FROM charge WHERE idempotency_key = ?", key)
            if known is not None:
                if known["request_hash"] != digest:
                    raise KeyReusedError
                return _as_json(known), None
            if self.one("SELECT * FROM void WHERE idempotency_key = ?", key):
                raise KeyVoidedError
            waiting = self.one("SELECT * FROM challenge WHERE idempotency_key = ?", key)
            if waiting is not None:
                if waiting["request_hash"] != digest:
                    raise KeyReusedError
                return self._as_it_stands(waiting), None
            token = self._source(request["token"])
            error = self._reason_to_refuse(token)
            row = {
                "id": f"ch_{secrets.token_hex(16)}",
                "idempotency_key": key,
                "request_hash": digest,
                **request,
                "brand": token["brand"] if token else None,
                "last4": token["last4"] if token else None,
                "behaviour": token["behaviour"] if token else None,
            }
            if error is None and row["behaviour"] == Behaviour.THREE_D_SECURE:
                return self._challenge(row, base_url), Behaviour.THREE_D_SECURE
            row = self._add_charge(row, error)
        return _as_json(row), Behaviour(row["behaviour"]) if row["behaviour"] else None

    def find_challenge(self, challenge_id: str) -> dict[str, Any] | None:
        """A payment that its payer is to confirm: the charge as it stands, with ``voided`` if it was given up."""
        with self.transaction():
            challenge = self.one("SELECT * FROM challenge WHERE id = ?", challenge_id)
            return None if challenge is None else self._as_it_stands(challenge)

    def confirm(self, challenge_id: str, *, confirmed: bool) -> dict[str, Any] | None:
        """The payer confirms a payment, or refuses to. Committed when this returns.

        Returns:
            The charge; None if there is no such challenge.

        Raises:
            ChallengeOverError: it was decided before.
        """
        with self.transaction():
            challenge = self.one("SELECT * FROM challenge WHERE id = ?", challenge_id)
            if challenge is None:
                return None
            stands = self._as_it_stands(challenge)
            if stands["status"] == "requires_action":
                error = None if confirmed else "authentication_failed"
                return _as_json(self._add_charge(_of_challenge(challenge), error))
        raise ChallengeOverError(stands["status"])

    def void(self, key: str) -> dict[str, Any] | None:
        """Give a key up: nothing can be charged under it any more. Committed when this returns.

        Returns:
            None; or the charge that stands under the key already, taken or refused, which stays as it is.
        """
        with self.transaction() as connection:
            known = self.one("SELECT * FROM charge WHERE idempotency_key = ?", key)
            if known is not None:
                return _as_json(known)
            waiting = self.one("SELECT * FROM challenge WHERE idempotency_key = ?", key)
            if waiting is not None and (stands := self._as_it_stands(waiting))["status"] == "failed":
                return stands
            added = connection.execute(
                "INSERT OR IGNORE INTO void VALUES (?, ?)", (key, rfc3339(self.clock.now()))
            )  # fmt: skip
            if added.rowcount:
                self.add_news("charge.voided", key)
        return None

    def is_voided(self, key: str) -> bool:
        """Whether a key was given up."""
        with self._lock:
            return self.one("SELECT * FROM void WHERE idempotency_key = ?", key) is not None

    def due_news(self, limit: int) -> list[News]:
        """News whose time has come, the one that is longest overdue first."""
        now = self.clock.now().timestamp()
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM news WHERE ended_at IS NULL AND due_at <= ? ORDER BY due_at LIMIT ?", (now, limit)
            ).fetchall()
            return [self._news(row) for row in rows]

    def end_news(self, news: News) -> None:
        """It was delivered, or nobody will ever take it."""
        self._change_news(news, "ended_at = ?", rfc3339(self.clock.now()))

    def postpone_news(self, news: News, delay_s: float) -> None:
        """Its delivery failed: the next attempt is due after `delay_s` seconds."""
        self._change_news(news, "due_at = ?", self.clock.now().timestamp() + delay_s)

    def refund(self, key: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Give some of a charge back, or refuse and write that down. Committed when this returns.

        Args:
            key: same key, same refund.
            request: a loaded `RefundRequest`.

        Raises:
            KeyReusedError: the key belongs to another request.
        """
        digest = _digest(request)
        with self.transaction() as connection:
            known = self.one("SELECT * FROM refund WHERE idempotency_key = ?", key)
            if known is not None:
                if known["request_hash"] != digest:
                    raise KeyReusedError
                return _refund_as_json(known)
            charge = self.one("SELECT * FROM charge WHERE id = ?", request["charge_id"])
            error = self._reason_not_to_refund(charge, request)
            row = {
                "id": f"re_{secrets.token_hex(16)}",
                "idempotency_key": key,
                "request_hash": digest,
                **request,
                "status": "failed" if error else "succeeded",
                "reference": charge["reference"] if charge else None,
                "error_code": error,
                "created_at": rfc3339(self.clock.now()),
            }
            connection.execute(
                "INSERT INTO refund (id, idempotency_key, request_hash, charge_id, status, amount_minor, currency,"
                " reference, error_code, created_at)"
                " VALUES (:id, :idempotency_key, :request_hash, :charge_id, :status, :amount_minor, :currency,"
                " :reference, :error_code, :created_at)",
                row,
            )
            return _refund_as_json(row)

    def refund_by_key(self, key: str) -> list[dict[str, Any]]:
        """The refund under an idempotency key, if there is one."""
        return self._list("SELECT * FROM refund WHERE idempotency_key = ?", key, _refund_as_json)

    def refunds_by_reference(self, reference: str) -> list[dict[str, Any]]:
        """The refunds of charges with a reference, oldest first."""
        return self._list("SELECT * FROM refund WHERE reference = ? ORDER BY rowid", reference, _refund_as_json)

    def by_id(self, charge_id: str) -> dict[str, Any] | None:
        """A charge."""
        with self._lock:
            row = self.one("SELECT * FROM charge WHERE id = ?", charge_id)
        return _as_json(row) if row else None

    def by_key(self, key: str) -> list[dict[str, Any]]:
        """The charge under an idempotency key, if there is one; one that waits for its payer, too."""
        with self.transaction():
            waiting = self.one("SELECT * FROM challenge WHERE idempotency_key = ?", key)
            if waiting is not None:
                stands = self._as_it_stands(waiting)
                return [] if stands["status"] == "voided" else [stands]
        return self._list("SELECT * FROM charge WHERE idempotency_key = ?", key)

    def by_reference(self, reference: str) -> list[dict[str, Any]]:
        """The charges with a reference, oldest first."""
        return self._list("SELECT * FROM charge WHERE reference = ? ORDER BY rowid", reference)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _add_charge(self, row: Mapping[str, Any], error: str | None) -> dict[str, Any]:
        """Write down what became of a charge, with the news of it; inside a transaction."""
        charge = {
            **row, "status": "failed" if error else "succeeded", "error_code": error,
            "created_at": rfc3339(self.clock.now()),
        }  # fmt: skip
        self._connection.execute(
            "INSERT INTO charge (id, idempotency_key, request_hash, token, status, amount_minor, currency,"
            " reference, brand, last4, behaviour, error_code, created_at)"
            " VALUES (:id, :idempotency_key, :request_hash, :token, :status, :amount_minor, :currency,"
            " :reference, :brand, :last4, :behaviour, :error_code, :created_at)",
            charge,
        )
        self.add_news(f"charge.{charge['status']}", charge["idempotency_key"])
        if error is None and charge["behaviour"] == Behaviour.DISPUTED:
            disputes.add(self, charge, charge["amount_minor"], "not_recognized")
        return charge

    def _challenge(self, row: Mapping[str, Any], base_url: str) -> dict[str, Any]:
        """Ask the payer to confirm; inside a transaction."""
        now, challenge_id = self.clock.now(), f"chl_{secrets.token_hex(16)}"
        challenge = {
            **row, "charge_id": row["id"], "id": challenge_id,
            "url": f"{base_url.rstrip('/')}/challenges/{challenge_id}",
            "created_at": rfc3339(now), "expires_at": rfc3339(now + self._challenge_lifetime),
        }  # fmt: skip
        self._connection.execute(
            "INSERT INTO challenge (id, charge_id, idempotency_key, request_hash, token, amount_minor, currency,"
            " reference, brand, last4, behaviour, url, expires_at, created_at)"
            " VALUES (:id, :charge_id, :idempotency_key, :request_hash, :token, :amount_minor, :currency,"
            " :reference, :brand, :last4, :behaviour, :url, :expires_at, :created_at)",
            challenge,
        )
        return _waiting(challenge)

    def _as_it_stands(self, challenge: sqlite3.Row) -> dict[str, Any]:
        """A challenged charge: waiting, decided, given up, or over because its time is; inside a transaction."""
        known = self.one("SELECT * FROM charge WHERE idempotency_key = ?", challenge["idempotency_key"])
        if known is not None:
            return _as_json(known)
        if self.one("SELECT * FROM void WHERE idempotency_key = ?", challenge["idempotency_key"]):
            return {**_waiting(challenge), "status": "voided", "next_action": None}
        if datetime.fromisoformat(challenge["expires_at"]) <= self.clock.now():
            return _as_json(self._add_charge(_of_challenge(challenge), "authentication_expired"))
        return _waiting(challenge)

    def _reason_not_to_refund(self, charge: sqlite3.Row | None, request: Mapping[str, Any]) -> str | None:
        if charge is None or charge["status"] != "succeeded" or charge["currency"] != request["currency"]:
            return "charge_unknown"
        if disputes.holds_money(self, charge["id"]):
            return "charge_disputed"
        left = charge["amount_minor"] - self.given_back(charge["id"])
        return "refund_exceeds_charge" if request["amount_minor"] > left else None

    def given_back(self, charge_id: str) -> int:
        """How much of a charge was refunded; inside a transaction."""
        query = (
            "SELECT COALESCE(SUM(amount_minor), 0) AS total FROM refund WHERE charge_id = ? AND status = 'succeeded'"
        )
        found = self.one(query, charge_id)
        return int(found["total"]) if found else 0

    def _source(self, source_id: str) -> sqlite3.Row | Mapping[str, Any] | None:
        """A token, or a card that is kept, which can be charged any number of times."""
        card = self.one("SELECT * FROM card_on_file WHERE id = ?", source_id)
        if card is None:
            return self.one("SELECT * FROM token WHERE id = ?", source_id)
        if self.one("SELECT * FROM forgotten WHERE card_id = ?", source_id):
            return None
        return {**dict(card), "reusable": True}

    def _reason_to_refuse(self, token: sqlite3.Row | Mapping[str, Any] | None) -> str | None:
        if token is None:
            return "token_unknown"
        now = self.clock.now()
        if "exp_year" in dict(token) and (token["exp_year"], token["exp_month"]) < (now.year, now.month):
            return "expired_card"
        if not token["reusable"]:
            for table in ("charge", "challenge", "card_on_file"):
                if self.one(f"SELECT id FROM {table} WHERE token = ? LIMIT 1", token["id"]):  # noqa: S608  # ours
                    return "token_already_used"
            if self.clock.now() - datetime.fromisoformat(token["created_at"]) > self._token_lifetime:
                return "token_expired"
        return REFUSED_FOR.get(Behaviour(token["behaviour"]))

    def _add_token(self, token: str, brand: str, last4: str, behaviour: Behaviour, *, reusable: bool) -> None:
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO token VALUES (?, ?, ?, ?, ?, ?)",
                (token, brand, last4, behaviour, reusable, rfc3339(self.clock.now())),
            )

    def add_news(self, kind: str, key: str) -> None:
        """Have the merchant told of something; inside its transaction: the news survives a restart as it does.

        Args:
            kind: what happened: ``charge.succeeded``.
            key: the idempotency key of the charge.
        """
        now, event_id = self.clock.now(), f"evt_{secrets.token_hex(16)}"
        self._connection.executemany(
            "INSERT INTO news (event_id, copy, type, idempotency_key, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (event_id, copy, kind, key, rfc3339(now), now.timestamp() + after_s)
                for copy, after_s in enumerate(self._news_after_s)
            ],
        )

    def _news(self, row: sqlite3.Row) -> News:
        charge = self.one("SELECT * FROM charge WHERE idempotency_key = ?", row["idempotency_key"])
        about = _as_json(charge) if charge else {"idempotency_key": row["idempotency_key"], "status": "voided"}
        data: dict[str, Any] = {"charge": about}
        if row["type"].startswith("dispute.") and charge is not None:
            data["dispute"] = disputes.of_charge(self, charge["id"])
        event = {"id": row["event_id"], "type": row["type"], "created_at": row["created_at"], "data": data}
        return News(row["event_id"], row["copy"], row["attempts"], event)

    def _change_news(self, news: News, change: str, value: str | float) -> None:
        with self.transaction() as connection:
            connection.execute(
                f"UPDATE news SET {change}, attempts = attempts + 1 WHERE event_id = ? AND copy = ?",  # noqa: S608  # ours
                (value, news.event_id, news.copy),
            )

    def execute(self, query: str, values: Sequence[Any] | Mapping[str, Any]) -> sqlite3.Cursor:
        """Any statement; inside a transaction."""
        return self._connection.execute(query, values)

    def one(self, query: str, value: str) -> sqlite3.Row | None:
        """The row that a query with one value finds; inside a transaction."""
        row: sqlite3.Row | None = self._connection.execute(query, (value,)).fetchone()
        return row

    def _list(
        self, query: str, value: str, as_json: Callable[[sqlite3.Row], dict[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        write = as_json or _as_json
        with self._lock:
            return [write(row) for row in self._connection.execute(query, (value,)).fetchall()]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The book for oneself: other threads wait for the lock, other processes for BEGIN IMMEDIATE."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _digest(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _of_challenge(challenge: sqlite3.Row) -> dict[str, Any]:
    """The charge that comes of it, as far as it is known before."""
    names = ("idempotency_key", "request_hash", "token", "amount_minor", "currency", "reference", "brand", "last4")
    of_charge = {name: challenge[name] for name in (*names, "behaviour")}
    return {"id": challenge["charge_id"], **of_charge}


def _waiting(challenge: sqlite3.Row | Mapping[str, Any]) -> dict[str, Any]:
    """A charge that waits for its payer, for the merchant."""
    same = ("amount_minor", "currency", "reference", "idempotency_key", "created_at")
    return {
        "id": challenge["charge_id"],
        "status": "requires_action",
        **{name: challenge[name] for name in same},
        "card": {"brand": challenge["brand"], "last4": challenge["last4"]},
        "error": None,
        "next_action": {"type": "redirect", "url": challenge["url"], "expires_at": challenge["expires_at"]},
    }


def _card_as_json(row: sqlite3.Row | Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "idempotency_key", "brand", "last4", "exp_month", "exp_year")}


def _refund_as_json(row: sqlite3.Row | Mapping[str, Any]) -> dict[str, Any]:
    error = row["error_code"]
    public = ("id", "status", "charge_id", "amount_minor", "currency", "reference", "idempotency_key", "created_at")
    return {
        **{name: row[name] for name in public},
        "error": {"code": error, "message": REFUSALS[error]} if error else None,
    }


def _as_json(row: sqlite3.Row | Mapping[str, Any]) -> dict[str, Any]:
    error = row["error_code"]
    public = ("id", "status", "amount_minor", "currency", "reference", "idempotency_key", "created_at")
    return {
        **{name: row[name] for name in public},
        "card": {"brand": row["brand"], "last4": row["last4"]} if row["last4"] else None,
        "error": {"code": error, "message": REFUSALS[error]} if error else None,
    }
