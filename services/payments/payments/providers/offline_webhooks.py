"""The offline provider's webhooks: whether one is authentic, and what it is about.

``Provider-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]``, where v1 is HMAC-SHA256 over ``<t>.<raw body>`` under a
secret that only the provider and payments know.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from datetime import datetime

from marshmallow import ValidationError, fields

from chassis.messages import PlainString, TolerantSchema
from payments.domain.provider import ForgedWebhook, Hint

#: Seconds by which the provider's clock and ours may differ, either way; what was sent earlier may be a replay.
TOLERANCE_S = 300
#: Signatures looked at in one header: the provider sends one or, while a secret is changed, two.
_MOST_SIGNATURES = 4


class _Charge(TolerantSchema):
    idempotency_key = PlainString(required=True, max_length=255)


class _Data(TolerantSchema):
    charge = fields.Nested(_Charge, load_default=None, allow_none=True)


class _Event(TolerantSchema):
    id = PlainString(required=True, max_length=255)
    type = PlainString(required=True, max_length=64)
    data = fields.Nested(_Data, required=True)


_EVENT = _Event()


class OfflineWebhooks:
    """Checks and reads webhooks.

    Args:
        secrets: any of them may have signed: the one of now and, while it is being changed, the one before.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def read(self, body: bytes, signature: str, now: datetime) -> Hint:
        """See `payments.domain.provider.Webhooks`."""
        moment, signatures = _parts(signature)
        if not self._is_authentic(body, moment, signatures):
            raise ForgedWebhook("signature")
        if abs(now.timestamp() - int(moment)) > TOLERANCE_S:
            raise ForgedWebhook("time")
        try:
            event = _EVENT.load(json.loads(body))
        except (ValueError, RecursionError, ValidationError):
            raise ForgedWebhook("content") from None
        charge = event["data"]["charge"]
        return Hint(
            event["id"], event["type"], charge["idempotency_key"] if charge else None,
            is_of_dispute=event["type"].startswith("dispute."), says_captured=event["type"] == "charge.succeeded",
        )  # fmt: skip

    def _is_authentic(self, body: bytes, moment: str, signatures: Sequence[str]) -> bool:
        """Every secret is tried on every signature, so that the time taken says nothing about which one was close."""
        found = False
        for secret in self._secrets:
            expected = hmac.digest(secret, moment.encode() + b"." + body, "sha256").hex()
            for given in signatures:
                found |= hmac.compare_digest(expected, given)
        return found


def _parts(header: str) -> tuple[str, list[str]]:
    """The moment and the signatures that stand in a header."""
    if not header.isascii():
        raise ForgedWebhook("header")
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    moments = [value for name, value in pairs if name == "t"]
    signatures = [value for name, value in pairs if name == "v1"]
    if len(moments) != 1 or not (moments[0].isdigit() and len(moments[0]) <= 11):
        raise ForgedWebhook("header")
    if not 1 <= len(signatures) <= _MOST_SIGNATURES:
        raise ForgedWebhook("header")
    return moments[0], signatures
