"""Take a webhook of the payment provider: a hint to ask the provider at once, and nothing more."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING, Any

from kernel.errors import Kind, Refusal
from payments import storage
from payments.domain.provider import ForgedWebhook
from payments.use_cases.return_strays import suspect

if TYPE_CHECKING:
    from payments.bootstrap import App

_log = logging.getLogger(__name__)


def receive_webhook(app: App, *, body: str, signature: str) -> dict[str, Any]:
    """Have the attempt or dispute that an authentic webhook is about settled by what the provider answers; or, if the
    attempt has ended without money and money is said to have been taken, see to that (`return_strays`).

    Nothing of the webhook is believed but that something has happened: not its amount, not its state, not its order.
    So it does no harm twice, late, or before the one that should have come first.

    Args:
        app: the service's.
        body: as it came, in base 64.
        signature: the header that proves it.

    Raises:
        Refusal: `webhook_refused`, whatever is wrong with it. Nothing is stored then.
    """
    try:
        raw = base64.b64decode(body, validate=True)
        hint = app.webhooks.read(raw, signature, app.database.clock.now())
    except (ForgedWebhook, binascii.Error, ValueError) as forged:
        _log.warning("a webhook was refused: %s", forged if isinstance(forged, ForgedWebhook) else "encoding")
        raise _refused() from None
    with app.database.transaction() as tx:
        is_news = storage.add_webhook_event(tx, hint.event_id, hint.kind)
        if is_news and hint.is_of_dispute:
            tx.after_commit(app.follow_disputes_soon)
        if is_news and hint.key is not None:
            if storage.check_now(tx, hint.key):
                tx.after_commit(app.settle_soon)
            elif hint.says_captured:
                suspect(app, tx, hint.key)
    return {}


def _refused() -> Refusal:
    return Refusal(Kind.UNAUTHENTICATED, "webhook_refused", "This webhook is not accepted.")
