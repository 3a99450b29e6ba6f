"""Places where a test build fails on purpose: in the middle of what must survive it.

`PUNCHCARD_FAILPOINTS` names them, with what happens there: ``relay.published=kill``, several parted by commas. A
process that is no test build (`PUNCHCARD_TEST_BUILD=1`) refuses to start with it, and with a shifted clock
(`PUNCHCARD_CLOCK_OFFSET_S`). Unnamed, a place costs a look into an empty dictionary.

| Action | What happens at the place |
|---|---|
| ``kill`` | the process ends as by ``kill -9`` |
| ``raise`` | an exception that nobody expects |
| ``sleep:1.5`` | a pause of so many seconds |
| any, with ``@3`` | the third time and only then; else, every time |
"""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

from chassis.settings import Environment, SettingsError
from kernel.clock import Clock, ShiftedClock, SystemClock

_log = logging.getLogger(__name__)

#: Every place there is. ``outbox.committed``: an event is committed and not yet with the relay. ``relay.published``:
#: the broker has confirmed events that are not yet marked as sent. ``payments.charged``, ``payments.refunded``: the
#: provider has answered and that is not yet written; ``payments.card_kept``: the same of a card to be saved.
#: ``payments.recording``: a receipt is written and not committed.
#: ``cart.refunding``: credits has taken back what a refunded order brought, and cart has not noted it.
#: ``support.asked``: credits has done what a ticket needed, and support has not noted it.
#: ``event.handled``, ``request.worked``: the worker is done, and has neither acknowledged nor replied.
PLACES = frozenset(
    {
        "outbox.committed", "relay.published", "payments.charged", "payments.card_kept", "payments.recording",
        "payments.refunded", "cart.refunding", "support.asked", "event.handled", "request.worked",
    }
)  # fmt: skip

_POINT = re.compile(r"(?P<place>[a-z_.]+)=(?P<action>kill|raise|sleep:(?P<seconds>[0-9.]+))(@(?P<turn>[1-9][0-9]*))?")


class FailedOnPurpose(Exception):
    """What a failpoint raises."""


@dataclass
class _Point:
    action: str
    seconds: float
    #: The only time at which it fails; None for every time.
    turn: int | None
    reached: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_armed: dict[str, _Point] = {}
_armed_by = ""


def arm(environment: Environment) -> None:
    """Have this process fail where the environment says. Safe to repeat.

    Raises:
        SettingsError: it says so to a process that is no test build, or names a place or an action that does not exist.
    """
    global _armed_by
    text = _test_setting(environment, "PUNCHCARD_FAILPOINTS")
    if text == _armed_by:
        return
    points = dict(_read(word) for word in text.split(",") if word)
    _armed.clear()
    _armed.update(points)
    _armed_by = text
    if text:
        _log.warning("test build: fails on purpose at %s", text)


def clock(environment: Environment) -> Clock:
    """The machine's clock; in a test build, as many seconds off as the environment says.

    Raises:
        SettingsError: a process that is no test build was told to be off, or the offset is no number.
    """
    text = _test_setting(environment, "PUNCHCARD_CLOCK_OFFSET_S")
    if not text:
        return SystemClock()
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise SettingsError(f"PUNCHCARD_CLOCK_OFFSET_S is {text!r}, not a whole number of seconds")
    _log.warning("test build: the clock is %s s off", text)
    return ShiftedClock(timedelta(seconds=int(text)))


def reach(place: str) -> None:
    """Fail here, if this process was told to.

    Raises:
        FailedOnPurpose: that was the way to fail.
    """
    if _armed:
        _reach(place)


def _reach(place: str) -> None:
    point = _armed.get(place)
    if point is None:
        return
    with point.lock:
        point.reached += 1
        if point.turn is not None and point.reached != point.turn:
            return
    _log.warning("failpoint %s: %s", place, point.action)
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif point.action == "raise":
        raise FailedOnPurpose(place)
    else:
        time.sleep(point.seconds)


def _read(word: str) -> tuple[str, _Point]:
    found = _POINT.fullmatch(word.strip())
    if found is None:
        raise SettingsError(f"PUNCHCARD_FAILPOINTS: {word!r} is not PLACE=kill, PLACE=raise or PLACE=sleep:SECONDS[@N]")
    if found["place"] not in PLACES:
        raise SettingsError(f"PUNCHCARD_FAILPOINTS: {found['place']!r} is none of {', '.join(sorted(PLACES))}")
    turn = int(found["turn"]) if found["turn"] else None
    return found["place"], _Point(found["action"].partition(":")[0], float(found["seconds"] or 0), turn)


def _test_setting(environment: Environment, name: str) -> str:
    text = environment.optional(name)
    if text and environment.optional("PUNCHCARD_TEST_BUILD") != "1":
        raise SettingsError(
            f"{name} makes a process fail on purpose and is for tests only: unset it, or set PUNCHCARD_TEST_BUILD=1"
        )
    return text
