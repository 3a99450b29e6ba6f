"""Answer a dispute: evidence that the charge was right, or that the payer may have the money."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from chassis.persistence import IdempotencyKeys, refuse_as_kept, request_hash
from kernel.errors import Refusal, conflict, not_found, unavailable
from payments import dispute_storage
from payments.domain.provider import DisputeOver, DisputeState, Taken
from payments.use_cases.dispute_views import dispute_view
from payments.use_cases.record_receipt import CLERKS

if TYPE_CHECKING:
    from chassis.identity import Identity
    from payments.bootstrap import App

log = logging.getLogger(__name__)


def answer_dispute(
    app: App, caller: Identity, *, idempotency_key: str, id: str, evidence: str | None = None
) -> dict[str, Any]:
    """Send evidence, or, without any, accept the dispute. The provider bears hearing the same twice.

    The wish is committed, and audited, before the provider is asked; whoever got no answer asks again under the same
    key. What the network makes of it comes by `follow_disputes`.

    Args:
        app: the service's.
        caller: finance or a superuser.
        idempotency_key: the same for every retry of this request.
        id: the dispute.
        evidence: why the charge was right, for people; None to accept.

    Returns:
        ``{"dispute", "replayed"}``.

    Raises:
        Refusal: `forbidden`; `not_found`; `dispute_over`; `unavailable` if the provider does not answer;
            `idempotency_key_reused`.
    """
    caller.require(*CLERKS)
    asked = request_hash("answer_dispute", {"id": id, "evidence": evidence})
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        known = keys.begin(idempotency_key, asked, id)
        if known is not None and known.answer is not None:
            refuse_as_kept(known.answer, replayed=True)
            return {**known.answer, "replayed": True}
        dispute = dispute_storage.find(tx, id)
        if dispute is None:
            raise not_found("dispute")
        if known is None:
            if dispute["state"] != DisputeState.OPEN:
                raise _over()
            tx.audit(
                caller, "dispute.accepted" if evidence is None else "dispute.evidence_sent", dispute["order_id"],
                dispute["organization_id"], dispute_id=id, amount_minor=dispute["amount_minor"],
                currency=dispute["currency"],
            )  # fmt: skip
    at_provider = dispute["provider_dispute_id"]
    if evidence is None:
        heard = app.provider.accept_dispute(at_provider)
    else:
        heard = app.provider.send_evidence(at_provider, evidence)
    if not isinstance(heard, Taken | DisputeOver):
        log.warning("the provider cannot be answered about a dispute now", extra={"reason": heard.reason})
        raise unavailable()
    with app.database.transaction() as tx:
        keys = IdempotencyKeys(tx, caller.organization_id)
        if isinstance(heard, DisputeOver):
            answer: dict[str, Any] = {"refusal": _over().as_dict()}
        else:
            dispute_storage.note_answer(tx, id, evidence)
            changed = dispute_storage.find(tx, id)
            assert changed is not None, "nothing deletes disputes"
            answer = {"dispute": dispute_view(changed)}
        keys.finish(idempotency_key, answer)
        tx.after_commit(app.follow_disputes_soon)
    refuse_as_kept(answer, replayed=False)
    return {**answer, "replayed": False}


def _over() -> Refusal:
    return conflict("dispute_over", "The card network has decided about this dispute. Look at it.")
