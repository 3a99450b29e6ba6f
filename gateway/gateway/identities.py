"""Who asks: known without a round trip each time, forgotten within a second of a logout anywhere.

A credential (session token or API key) is looked up in accounts once and believed for a short while. Accounts tells
every gateway process when one is revoked; a process that may have missed such a message believes nothing it knew.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import fields

from chassis.messages import TolerantSchema, UtcDateTime
from kernel.clock import Clock, SystemClock
from kernel.errors import Kind, Refusal

#: What accounts broadcasts when a session ends or an API key is revoked.
REVOKED_EVENT = "accounts.credential_revoked.v1"
#: Seconds a revoked digest is remembered. Longer than any look-up can be under way, so that none stores it afterwards.
_REMEMBERED_S = 120.0


class CredentialRevoked(TolerantSchema):
    """The data of `REVOKED_EVENT`."""

    credential_digest = fields.String(required=True)


class AuthenticateReply(TolerantSchema):
    """What the gateway reads of the reply of accounts.authenticate."""

    identity = fields.String(required=True)
    believed_until = UtcDateTime(required=True)
    expires_at = UtcDateTime(allow_none=True, load_default=None)
    user = fields.Dict(required=True)
    organization = fields.Dict(required=True)


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified session token or API key.

    Args:
        digest: SHA-256 of it, hexadecimal; the thing itself is not kept.
        identity_token: who it stands for, as signed by accounts.
        user: id, email, name, role, language.
        organization: id, name, number.
    """

    digest: str
    identity_token: str
    user: Mapping[str, Any]
    organization: Mapping[str, Any]


def new_secret(prefix: str) -> str:
    """A session token (``pcs_``) or API key (``pck_``): 256 random bits. It is shown once and never stored."""
    return prefix + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """The only form of a credential that leaves this process."""
    return hashlib.sha256(secret.encode()).hexdigest()


def unauthenticated() -> Refusal:
    """The one answer to a credential that is missing, malformed, unknown, expired or revoked."""
    return Refusal(Kind.UNAUTHENTICATED, "unauthenticated", "Sign in first: the credentials are missing or expired.")


class IdentityCache:
    """Verified credentials by digest. Safe for threads.

    Args:
        lifetime_s: how long one is believed without asking again, in seconds; less if accounts says so.
        clock: tells what is left of the times that accounts gives.
        monotonic: seconds that never jump; what the ends of entries are kept in.
        capacity: how many are kept; the one used least recently goes first.
    """

    def __init__(
        self,
        lifetime_s: float = 60.0,
        *,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        capacity: int = 10_000,
    ) -> None:
        self._lifetime_s = lifetime_s
        self._clock = clock or SystemClock()
        self._monotonic = monotonic
        self._capacity = capacity
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[Credential, float]] = OrderedDict()
        self._revoked: OrderedDict[str, float] = OrderedDict()
        self._generation = 0
        self._hears_revocations: Callable[[], bool] = lambda: False

    def trust_while(self, hears_revocations: Callable[[], bool]) -> None:
        """Say how to know that revocations arrive. Until this is called, and while it says no, every request asks."""
        self._hears_revocations = hears_revocations

    def find(self, digest: str, fetch: Callable[[str], Mapping[str, Any]]) -> Credential:
        """The credential with that digest.

        Args:
            digest: of what the client sent.
            fetch: asks accounts; returns what `AuthenticateReply` holds.

        Raises:
            Refusal: `unauthenticated`; or whatever `fetch` raises.
        """
        hears = self._hears_revocations()
        with self._lock:
            self._refuse_revoked(digest)
            known = self._entries.get(digest)
            if known is not None and hears and self._monotonic() < known[1]:
                self._entries.move_to_end(digest)
                return known[0]
            generation = self._generation
        asked_at = self._monotonic()
        reply = fetch(digest)
        credential = Credential(digest, reply["identity"], reply["user"], reply["organization"])
        ends_at = asked_at + self._believed_s(reply["believed_until"], reply["expires_at"])
        hears = hears and self._hears_revocations()
        with self._lock:
            # revoked while the answer was on its way: the answer is from before
            self._refuse_revoked(digest)
            if hears and generation == self._generation and self._monotonic() < ends_at:
                self._store(credential, ends_at)
        return credential

    def revoke(self, digest: str) -> None:
        """The credential is no longer good, whatever an answer that is still on its way may say."""
        now = self._monotonic()
        with self._lock:
            self._entries.pop(digest, None)
            self._revoked.pop(digest, None)
            self._revoked[digest] = now
            while self._revoked and next(iter(self._revoked.values())) < now - _REMEMBERED_S:
                self._revoked.popitem(last=False)

    def forget(self, digest: str) -> None:
        """Ask accounts again the next time."""
        with self._lock:
            self._entries.pop(digest, None)

    def clear(self) -> None:
        """Believe nothing known so far, nor any answer that is on its way: a revocation may have been missed."""
        with self._lock:
            self._entries.clear()
            self._generation += 1

    def __len__(self) -> int:
        return len(self._entries)

    def _refuse_revoked(self, digest: str) -> None:
        if digest in self._revoked:
            raise unauthenticated()

    def _believed_s(self, believed_until: datetime, expires_at: datetime | None) -> float:
        ends = believed_until if expires_at is None else min(believed_until, expires_at)
        return min(self._lifetime_s, (ends - self._clock.now()).total_seconds())

    def _store(self, credential: Credential, ends_at: float) -> None:
        self._entries[credential.digest] = (credential, ends_at)
        self._entries.move_to_end(credential.digest)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
