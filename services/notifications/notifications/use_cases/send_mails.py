"""Send the mails that are due.

One transaction notes the outcome of a mail and claims the next; between two of them, with no transaction open, the
mail goes out. A sender that dies after the mail server took a mail and before that is noted leaves one claim behind;
when it lapses, that one mail goes out again with the same Message-ID.
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from email.message import EmailMessage

import sqlalchemy as sa

from chassis.context import RequestContext, entered
from chassis.persistence import Transaction
from notifications import storage
from notifications.bootstrap import App
from notifications.domain.deliveries import Failure, FailureKind, MailKind, State, after_failure
from notifications.messages import PAYLOADS
from notifications.rendering import BadAddress
from notifications.transports import NotSent, Session

_log = logging.getLogger(__name__)

#: Beyond the transport's own timeout, for rendering and for noting the outcome.
_SPARE = timedelta(seconds=15)


def send_mails(app: App) -> int:
    """Send until nothing is due, or until the mail server is not there.

    Returns:
        How many mails were sent.
    """
    lease = timedelta(seconds=app.transport.timeout_s) + _SPARE
    sent = 0
    with app.transport.session() as session:
        with app.database.transaction() as tx:
            delivery = storage.claim_next(tx, lease)
        while delivery is not None:
            with entered(RequestContext(delivery["correlation_id"])):
                failure = _send(app, session, delivery)
            sent += failure is None
            with app.database.transaction() as tx:
                _note(tx, delivery, failure)
                if failure and failure.kind is FailureKind.UNREACHABLE:
                    break  # the others would fare no better; the next round tries again
                delivery = storage.claim_next(tx, lease)
    return sent


def _send(app: App, session: Session, delivery: sa.RowMapping) -> Failure | None:
    facts = {"delivery_id": delivery["id"], "kind": delivery["kind"], "attempt": delivery["attempts"]}
    try:
        session.send(_render(app, delivery), delivery["recipient"])
    except NotSent as error:
        failure = error.failure
    except BadAddress:
        failure = Failure(FailureKind.REFUSED, "BadAddress")
    except Exception as error:
        # A defect (in a template, in a sealed code) must not keep the other mails; it may be mended before we give up.
        failure = Failure(FailureKind.DEFERRED, type(error).__name__)
    else:
        _log.info("mail sent", extra=facts)
        return None
    _log.warning("mail not sent: %s, %s", failure.kind, failure.error, extra=facts)
    return failure


def _render(app: App, delivery: sa.RowMapping) -> EmailMessage:
    kind = MailKind(delivery["kind"])
    data = PAYLOADS[kind].load(json.loads(delivery["payload"]))
    if kind is MailKind.CARD:
        data["claim_code"] = app.opener.open(data.pop("sealed_code"))
    return app.renderer.render(
        kind,
        language=delivery["language"],
        recipient=delivery["recipient"],
        data=data,
        message_id=delivery["message_id"],
        correlation_id=delivery["correlation_id"],
        written_at=delivery["queued_at"],
    )


def _note(tx: Transaction, delivery: sa.RowMapping, failure: Failure | None) -> None:
    if failure is None:
        storage.mark_sent(tx, delivery["id"])
        return
    state, next_attempt_at = after_failure(failure, delivery["attempts"], delivery["queued_at"], tx.now)
    if state is State.FAILED:
        _log.error("mail given up: %s, %s", failure.kind, failure.error, extra={"delivery_id": delivery["id"]})
    storage.mark_not_sent(
        tx, delivery, {"state": state, "next_attempt_at": next_attempt_at, "last_error": failure.error[:100]}
    )
