"""What a new password must be: long, and not what everybody who sees the user name would try first."""

from __future__ import annotations

from accounts.domain.text import folded
from kernel.errors import invalid

#: NIST SP 800-63B, 5.1.1.2 asks for 8 at least, and for no rules about kinds of characters.
SHORTEST = 10


def check_new(password: str, email: str, field: str = "password") -> None:
    """Refuse a password that is too easily guessed.

    Args:
        password: in clear.
        email: the normalised user name.
        field: where it was given.

    Raises:
        Refusal: `password_too_short`; `password_too_simple`.
    """
    if len(password) < SHORTEST:
        raise invalid("password_too_short", f"A password has at least {SHORTEST} characters.", field)
    if len(set(password)) < 4 or folded(password) in (email, email.partition("@")[0]):
        raise invalid("password_too_simple", "Anybody would guess this password. Choose another one.", field)
