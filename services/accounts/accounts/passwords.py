"""Passwords: argon2id (RFC 9106), computed where it does not hold up the event loop."""

from __future__ import annotations

import secrets
import threading

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.threads import in_real_thread


class Passwords:
    """Makes and checks password hashes.

    Args:
        memory_kib: memory of one computation, in KiB.
        passes: argon2's time cost.
        lanes: argon2's parallelism.
        at_once: computations at a time; others wait, so that a rush of sign-ins cannot take all memory.
    """

    def __init__(self, *, memory_kib: int, passes: int, lanes: int, at_once: int) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)
        self._slots = threading.BoundedSemaphore(at_once)
        self._nobodys = self.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """The password's hash with a salt of its own and its parameters, as text."""
        with self._slots:
            return in_real_thread(self._hasher.hash, password)

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one of the hash.

        Args:
            password_hash: None for a user who does not exist: the answer is no, after the same work.
            password: as the person typed it.
        """
        with self._slots:
            try:
                in_real_thread(self._hasher.verify, password_hash or self._nobodys, password)
            except (VerificationError, InvalidHashError):
                return False
        return password_hash is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than those of now."""
        return self._hasher.check_needs_rehash(password_hash)
