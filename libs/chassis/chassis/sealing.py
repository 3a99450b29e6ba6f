"""Sealed values: what only one service may read crosses the bus, the outbox and the dead letters sealed for it.

Sealed boxes of NaCl (X25519, XSalsa20-Poly1305): anyone with the public key seals, only the owner of the key opens.
"""

from __future__ import annotations

import base64
import binascii

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox


class Sealer:
    """Seals for one service.

    Args:
        public_key: that service's X25519 public key as 64 hexadecimal digits.
    """

    def __init__(self, public_key: str) -> None:
        self._box = SealedBox(PublicKey(bytes.fromhex(public_key)))

    def seal(self, text: str) -> str:
        """`text` as base64 that only the service can open; different each time."""
        return base64.b64encode(self._box.encrypt(text.encode())).decode()


class Opener:
    """Opens what was sealed for this service.

    Args:
        key: the X25519 private key as 64 hexadecimal digits.
    """

    def __init__(self, key: str) -> None:
        private = PrivateKey(bytes.fromhex(key))
        self._box = SealedBox(private)
        self.public_key = private.public_key.encode().hex()

    def open(self, sealed: str) -> str:
        """The text.

        Raises:
            ValueError: it was not sealed for this service, or was changed on the way.
        """
        try:
            return self._box.decrypt(base64.b64decode(sealed, validate=True)).decode()
        except (CryptoError, binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("not sealed for this service") from error


def new_key() -> str:
    """A new private key as 64 hexadecimal digits; good for sealing and for signing."""
    return PrivateKey.generate().encode().hex()
