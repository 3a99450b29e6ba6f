"""Events that are handled several at a time: all that wait in a queue, in one transaction and with one acknowledgement.

A transaction costs about the same for one event as for ten, so a busy service handles what has gathered while it was
at work. An idle one handles each event at once, alone.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import eventlet

from chassis.messages import Event
from chassis.messaging.incoming import Arrived
from chassis.messaging.link import Link

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was taken off the queue, and what it turned out to be.

    Args:
        link: the channel it came by.
        message: kombu's.
        arrived: as it was.
        event: what it says; None if it is malformed.
        cause: under which it is parked if it is.
    """

    link: Link
    message: Any
    arrived: Arrived
    event: Event | None
    cause: str = ""


class EventStream:
    """The events of one queue, in the order they came.

    Args:
        most: how many are handled at once at most.
        work: has a worker handle some events, and waits for it; gives what it raised (exc_info), or None.
        handled: called when so many were handled, before they are acknowledged.
        failed: called with an event whose handler failed, handed alone: settles the message.
        malformed: called with what is no event: settles the message.
    """

    def __init__(
        self,
        most: int,
        work: Callable[[list[Any]], Any],
        handled: Callable[[int], None],
        failed: Callable[[Taken, Any], None],
        malformed: Callable[[Taken], None],
    ) -> None:
        self.most = most
        self._work = work
        self._on_handled = handled
        self._failed = failed
        self._malformed = malformed
        self._waiting: deque[Taken] = deque()
        self._running = False

    @property
    def idle(self) -> bool:
        """Whether everything that was added has been dealt with."""
        return not self._running

    def add(self, taken: Taken) -> None:
        """Have a message handled, with those that have gathered by then."""
        self._waiting.append(taken)
        if not self._running:
            self._running = True
            eventlet.spawn_n(self._run)

    def forget(self) -> None:
        """What waits came by a link that is gone: the broker gives it again."""
        self._waiting.clear()

    def _run(self) -> None:
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self.most, len(self._waiting)))]
                self._acknowledge(self._handle(taken))
        except Exception:
            # unacknowledged, what was taken comes back when the link is re-made
            _log.exception("a stream of events broke off")
        finally:
            self._running = False

    def _handle(self, taken: Sequence[Taken]) -> list[Taken]:
        """Deal with messages; those that remain to be acknowledged."""
        sound = []
        for each in taken:
            if each.event is None:
                self._malformed(each)
            else:
                sound.append(each)
        raised = self._work([each.event for each in sound]) if sound else None
        if raised is None:
            return sound
        if len(sound) == 1:
            self._failed(sound[0], raised)
            return []
        return [each for each in sound if self._handled_alone(each)]  # one of them spoilt it for all

    def _handled_alone(self, taken: Taken) -> bool:
        raised = self._work([taken.event])
        if raised is not None:
            self._failed(taken, raised)
        return raised is None

    def _acknowledge(self, handled: Sequence[Taken]) -> None:
        if not handled:
            return
        self._on_handled(len(handled))
        try:
            # what came before the last of them is either one of them or was settled by itself
            handled[-1].link.ack_through([each.message.delivery_tag for each in handled])
        except Exception as error:
            _log.info("could not acknowledge: %s; they will come again", type(error).__name__)
