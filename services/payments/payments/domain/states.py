"""The states of payment intents and attempts, and when a silent provider is asked again."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class State(StrEnum):
    """Where an intent or an attempt stands (docs/architecture: names). The values are stored and sent: never rename."""

    REQUIRES_ACTION = "requires_action"  # the payer must do something (send a wire or a check, 3-D Secure)
    PROCESSING = "processing"  # the provider was, or is about to be, asked; its answer is not known yet
    CAPTURED = "captured"  # the provider says the money is taken
    FAILED = "failed"  # the provider says it is not, and will not be
    VOIDED = "voided"  # given up: the provider took nothing and refuses its key from now on, or was never asked


class RefundState(StrEnum):
    """Where a refund stands. The values are stored and sent: never rename one."""

    PROCESSING = "processing"  # the provider was, or is about to be, asked; its answer is not known yet
    SUCCEEDED = "succeeded"  # the provider says the money is given back
    FAILED = "failed"  # the provider says it is not, and will not be


#: From which states each state may be entered. What is not here can only be created.
ENTERED_FROM: dict[State, frozenset[State]] = {
    State.REQUIRES_ACTION: frozenset({State.PROCESSING}),
    State.PROCESSING: frozenset({State.REQUIRES_ACTION}),
    State.CAPTURED: frozenset({State.PROCESSING, State.REQUIRES_ACTION}),
    State.FAILED: frozenset({State.PROCESSING, State.REQUIRES_ACTION}),
    State.VOIDED: frozenset({State.PROCESSING, State.REQUIRES_ACTION}),
}

_FIRST_DELAY_S = 2
#: Short enough that all is settled within a minute of the provider's return (docs/reliability: the invariant).
_LONGEST_DELAY_S = 30


def check_delay(checks: int, at_least_s: float = 0.0) -> timedelta:
    """How long to wait before asking the provider again.

    Args:
        checks: how often it was asked about this before; the first time is 0.
        at_least_s: seconds for which it wants to be left alone.
    """
    doublings = min(checks, 10)  # more would only make a huge number for min() to throw away
    return timedelta(seconds=max(min(_FIRST_DELAY_S * 2**doublings, _LONGEST_DELAY_S), at_least_s))
