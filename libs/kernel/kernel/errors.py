"""The error base: a refusal that a caller can act on.

A refusal has a *kind* (what sort of answer it is; the gateway maps kinds to HTTP statuses, in one place), a stable
*code* that programs may test, and a *detail* a person can act on. Anything that is not a `Refusal` is a defect: the
chassis answers it with a correlation id and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What sort of refusal it is. The values travel on the bus: never rename one."""

    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    CONFLICT = "conflict"
    PAYMENT_REFUSED = "payment_refused"
    PRECONDITION_FAILED = "precondition_failed"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class FieldError(dict[str, str]):
    """One wrong field: its path (``lines.0.quantity``) and what to do about it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field=field, message=message)


class Refusal(Exception):  # "no" is an answer here, not a fault
    """An answer of "no" with a reason.

    Args:
        kind: what sort of refusal.
        code: stable snake_case word for programs.
        detail: a sentence for people, saying what to do. Never a secret, never a class name.
        errors: the wrong fields, for `Kind.INVALID`.
        extra: further public facts (old and new price, say); JSON values only.
    """

    def __init__(
        self,
        kind: Kind,
        code: str,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.kind = kind
        self.code = code
        self.detail = detail
        self.errors = [dict(error) for error in errors]
        self.extra = dict(extra or {})

    def as_dict(self) -> dict[str, Any]:
        """The refusal as JSON values, for the bus and for stored idempotent answers."""
        return {
            "kind": str(self.kind),
            "code": self.code,
            "detail": self.detail,
            "errors": self.errors,
            "extra": self.extra,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Refusal:
        """Build the refusal that `as_dict` wrote; an unknown kind (from a newer service) becomes `INTERNAL`."""
        try:
            kind = Kind(data.get("kind", ""))
        except ValueError:
            kind = Kind.INTERNAL
        return cls(
            kind,
            str(data.get("code", "internal_error")),
            str(data.get("detail", "")),
            data.get("errors") or (),
            data.get("extra") or {},
        )


def not_found(what: str) -> Refusal:
    """The one answer for an object that does not exist and for one that belongs to somebody else."""
    return Refusal(Kind.NOT_FOUND, "not_found", f"There is no such {what}.")


def invalid(code: str, detail: str, field: str | None = None) -> Refusal:
    """A refusal of input, naming the wrong field if there is one."""
    return Refusal(Kind.INVALID, code, detail, [FieldError(field, detail)] if field else ())


def conflict(code: str, detail: str, extra: Mapping[str, Any] | None = None) -> Refusal:
    """A refusal because of the state of things."""
    return Refusal(Kind.CONFLICT, code, detail, extra=extra)


def unavailable(detail: str = "A part of the store does not answer. Try again in a moment.") -> Refusal:
    """A refusal because something needed does not answer; safe to try again with the same Idempotency-Key."""
    return Refusal(Kind.UNAVAILABLE, "unavailable", detail)
