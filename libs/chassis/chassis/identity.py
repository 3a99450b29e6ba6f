"""Who asks, as a short-lived statement signed by accounts.

No credential travels on the bus: the gateway presents the digest of a session token or API key once, gets such a
statement, and sends it along with every call until it expires. Every service can check it, only accounts can make it.
"""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from dataclasses import asdict, dataclass, fields

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from kernel.clock import CLOCKS_DIFFER, Clock, SystemClock
from kernel.errors import Kind, Refusal

#: Seconds that a statement is believed. A logout is not held up by this: the gateway is told at once.
LIFETIME_S = 300
#: Roles of the platform's own people; each of them may look at what is any organisation's.
STAFF = ("finance", "support", "superuser")

#: What an API key can be restricted to: look; fill the cart, order and keep addresses; claim and handle support cards;
#: open and answer tickets; manage users, keys and the organisation. Every key may look.
READ = "read"
SCOPES = (READ, "buy", "cards", "tickets", "admin")


@dataclass(frozen=True, slots=True)
class Identity:
    """A user (or an API key standing in for its organisation) as accounts vouches for it.

    `role` is one of ticket, viewer, buyer, admin (customers) or finance, support, superuser (staff).
    """

    user_id: str
    email: str
    name: str
    role: str
    organization_id: str
    organization: str
    language: str = "en"
    #: The number that organisations are known by.
    organization_number: str = ""
    #: What an API key may be used for, words of `SCOPES` with blanks in between; None for all that the role may do.
    scopes: str | None = None

    def require(self, *roles: str) -> Identity:
        """The identity itself, if it has one of the roles.

        Raises:
            Refusal: `forbidden`.
        """
        if self.role not in roles:
            raise Refusal(Kind.FORBIDDEN, "forbidden", f"This needs the role {' or '.join(roles)}.")
        return self

    def require_scope(self, scope: str | None) -> None:
        """Refuse an API key that was not made for this.

        Args:
            scope: one of `SCOPES`; None for what no restricted key may do. Every key may read.

        Raises:
            Refusal: `scope_missing`.
        """
        if self.scopes is None or scope == READ or scope in self.scopes.split():
            return
        needed = f"the scope {scope}" if scope else "a key without restrictions"
        raise Refusal(Kind.FORBIDDEN, "scope_missing", f"This API key may not do that: it needs {needed}.")


_FIELDS = frozenset(field.name for field in fields(Identity))


class IdentitySigner:
    """Makes statements; only accounts has the key.

    Args:
        key: the Ed25519 seed, 32 bytes as 64 hexadecimal digits.
        clock: when a statement begins to be believed.
    """

    def __init__(self, key: str, clock: Clock | None = None) -> None:
        self._key = SigningKey(bytes.fromhex(key))
        self._clock = clock or SystemClock()

    def sign(self, identity: Identity, now_s: float | None = None) -> str:
        """A statement about `identity` that is believed for `LIFETIME_S`."""
        issued = self._clock.now().timestamp() if now_s is None else now_s
        claims = {**asdict(identity), "exp": int(issued) + LIFETIME_S}
        return base64.urlsafe_b64encode(self._key.sign(json.dumps(claims, separators=(",", ":")).encode())).decode()


class IdentityVerifier:
    """Checks statements. Remembers those it has checked, since a signature costs a hundred times a look-up.

    Args:
        public_key: accounts' Ed25519 public key as 64 hexadecimal digits.
        clock: when one has expired.
    """

    _REMEMBERED = 4096

    def __init__(self, public_key: str, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._key = VerifyKey(bytes.fromhex(public_key))
        self._checked: OrderedDict[str, tuple[Identity, int]] = OrderedDict()

    def verify(self, token: str | None) -> Identity:
        """The identity that the statement vouches for.

        Raises:
            Refusal: `unauthenticated`: there is none, it is forged, or it has expired.
        """
        if not token:
            raise _unauthenticated()
        known = self._checked.get(token)
        if known is None:
            try:
                claims = json.loads(self._key.verify(base64.urlsafe_b64decode(token)))
                expires = int(claims.pop("exp"))
                # what a later release says beyond what this one knows is passed over
                known = (Identity(**{name: claims[name] for name in claims.keys() & _FIELDS}), expires)
            except (BadSignatureError, ValueError, TypeError, KeyError) as error:
                raise _unauthenticated() from error
            self._checked[token] = known
            if len(self._checked) > self._REMEMBERED:
                self._checked.popitem(last=False)
        identity, expires = known
        if self._clock.now().timestamp() > expires + CLOCKS_DIFFER.total_seconds():
            self._checked.pop(token, None)
            raise _unauthenticated()
        return identity


def public_key_of(key: str) -> str:
    """The public key of a signing key, both as hexadecimal digits."""
    return SigningKey(bytes.fromhex(key)).verify_key.encode().hex()


def _unauthenticated() -> Refusal:
    return Refusal(Kind.UNAUTHENTICATED, "unauthenticated", "Sign in first: the credentials are missing or expired.")
