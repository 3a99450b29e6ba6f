"""Send the mails that are due.

One transaction claims some mails; with no transaction open they go out, one after the other; one more transaction
notes what became of them. A sender that dies on the way leaves its claims behind; when they lapse, the mails that were
not noted as sent go out (again, for those that the mail server had taken) with the same Message-ID.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from chassis.context import RequestContext, entered
from chassis.persistence import Row, Transaction
from notifications import storage
from notifications.bootstrap import App
from notifications.domain.deliveries import Failure, FailureKind, MailKind, State, after_failure
from notifications.mail import BadAddress, Mail
from notifications.messages import read_payload
from notifications.transports import NotSent, Session

_log = logging.getLogger(__name__)

#: Mails that are claimed, and noted, together.
BATCH = 20
#: Seconds after which no further mail of a batch is begun: what a slow mail server has taken is noted soon, and every
#: mail of the batch ends within the transport's timeout and this.
LONGEST_BATCH_S = 1.0
#: Beyond the transport's own timeout, for the batch, for rendering and for noting the outcomes.
_SPARE = timedelta(seconds=15)

#: What became of a delivery: None if it was sent.
Outcome = tuple[Row, Failure | None]


def send_mails(app: App) -> int:
    """Send until nothing is due, or until the mail server is not there.

    Returns:
        How many mails were sent.
    """
    lease = timedelta(seconds=app.transport.timeout_s) + _SPARE
    sent = 0
    with app.transport.session() as session:
        claimed = storage.claim_due(app.database.at_once, app.database.clock.now(), lease, BATCH)
        while claimed:
            outcomes = _send_batch(app, session, claimed)
            unreachable = outcomes[-1][1] is not None and outcomes[-1][1].kind is FailureKind.UNREACHABLE
            sent += sum(failure is None for _, failure in outcomes)
            with app.database.transaction() as tx:
                _note(tx, outcomes)
                storage.hand_back(tx, claimed[len(outcomes) :])
                more = len(claimed) == BATCH or len(outcomes) < len(claimed)
                claimed = storage.claim_due(tx.all, tx.now, lease, BATCH) if more and not unreachable else []
    return sent


def _send_batch(app: App, session: Session, claimed: Sequence[Row]) -> list[Outcome]:
    """Send the first of them at least, and the others for as long as there is time and a mail server."""
    until = time.monotonic() + LONGEST_BATCH_S
    outcomes: list[Outcome] = []
    for delivery in claimed:
        with entered(RequestContext(delivery["correlation_id"])):
            failure = _send(app, session, delivery)
        outcomes.append((delivery, failure))
        if failure is not None and failure.kind is FailureKind.UNREACHABLE:
            break  # the others would fare no better; the next round tries again
        if time.monotonic() > until:
            break
    return outcomes


def _send(app: App, session: Session, delivery: Row) -> Failure | None:
    facts = {"delivery_id": delivery["id"], "kind": delivery["kind"], "attempt": delivery["attempts"]}
    try:
        session.send(_render(app, delivery))
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


def _render(app: App, delivery: Row) -> Mail:
    kind = MailKind(delivery["kind"])
    data = read_payload(kind, delivery["payload"])
    if kind is MailKind.RECEIPT:
        data["invoice_number"] = delivery["invoice_number"]
    if "sealed_code" in data:
        data["claim_code"] = app.opener.open(data.pop("sealed_code"))
    if data.get("sealed_token"):
        data["token"] = app.opener.open(data.pop("sealed_token"))
    return app.renderer.render(
        kind,
        language=delivery["language"],
        recipient=delivery["recipient"],
        data=data,
        message_id=delivery["message_id"],
        correlation_id=delivery["correlation_id"],
        written_at=delivery["queued_at"],
    )


def _note(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    sent = [delivery["id"] for delivery, failure in outcomes if failure is None]
    if sent:
        storage.mark_sent(tx, sent)
    for delivery, failure in outcomes:
        if failure is not None:
            _note_failure(tx, delivery, failure)


def _note_failure(tx: Transaction, delivery: Row, failure: Failure) -> None:
    state, next_attempt_at = after_failure(failure, delivery["attempts"], delivery["queued_at"], tx.now)
    if state is State.FAILED:
        _log.error("mail given up: %s, %s", failure.kind, failure.error, extra={"delivery_id": delivery["id"]})
    storage.mark_not_sent(
        tx, delivery, {"state": state, "next_attempt_at": next_attempt_at, "last_error": failure.error[:100]}
    )
