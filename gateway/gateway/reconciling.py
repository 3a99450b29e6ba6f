"""What a person does about a break that a reconciliation has found."""

from __future__ import annotations

_TIMELINE = "Read GET /v1/admin/orders/{id}/timeline of the order in the subject: it says how far every service came."
#: By how a rule begins: what is told first is tried first. docs/operations.md says when each rule is broken.
_ADVICE: tuple[tuple[tuple[str, ...], str], ...] = (
    (("outbox_is_sent", "queue_", "dead_letter"),
     "Something is stuck between services: see /readyz, then GET /v1/admin/dead-letters; mend the cause and replay."),
    (("ledger:",), "The ledger contradicts itself. Stop changing it by hand, and call whoever develops the store."),
    (("charge_dispute_",),
     "The provider says another thing of a dispute than we do: GET /v1/admin/disputes. It is asked again by itself; "
     "see the log of payments if this stays."),
    (("refund_", "refunded_order_", "order_is_refunded", "order_has_its_money_back"),
     f"A refund stands half done: GET /v1/admin/orders/{{id}}/refund, and the provider's book. {_TIMELINE}"),
    (("paid_order_has_one_", "paid_order_has_its_money", "surplus_", "awaiting_order_", "captured_", "charged_"),
     f"Compare with the provider's book or the bank's statement before any money moves. {_TIMELINE}"),
    (("paid_line_", "paid_order_is_", "order_has_no_problem", "paid_credits_"),
     f"Something that is paid for was not handed over, or twice. {_TIMELINE} Then look for dead letters of it."),
    (("cause_has_one_mail", "mail_is_sent"),
     "A mail is missing or did not leave: see the log of notifications and the mail server."),
)  # fmt: skip


def what_to_do(rule: str) -> str:
    """Advice for a rule by its name."""
    found = (advice for begins, advice in _ADVICE if rule.startswith(begins))
    return next(found, _TIMELINE)
