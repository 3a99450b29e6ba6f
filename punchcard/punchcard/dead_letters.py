"""``punchcard dead-letters``: what could not be handled, straight from the services' databases, for operators."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from chassis.messaging.dead_letters import DeadLetters, Selection
from chassis.messaging.link import is_memory
from chassis.persistence import Database
from chassis.settings import Environment
from kernel.errors import Kind, Refusal
from punchcard.parts import SERVICES
from punchcard.says import say

_COLUMNS = ("ID", "QUEUE", "CAUSE", "ATTEMPTS", "AGE", "STATE")


class CannotDo(Exception):
    """Why it does not work, and what to do."""


def show(environment: Environment, service: str | None, cause: str | None, limit: int) -> None:
    """Print the newest dead letters, a table a service.

    Args:
        environment: names the databases.
        service: whose; of every service with a database there unless given.
        cause: how their causes begin; any unless given.
        limit: so many of each service.

    Raises:
        CannotDo: no database is named, or one cannot be read.
    """
    found = _of_each(environment, service, "", lambda letters: letters.page(Selection(cause_prefix=cause), limit))
    for name, page in found:
        if not page["items"]:
            say(f"{name}: no dead letters")
            continue
        say(f"{name}: the newest {limit}; --limit shows more" if page["next"] else f"{name}: {len(page['items'])}")
        for line in _table(page["items"]):
            say(f"  {line}")


def replay(environment: Environment, service: str | None, selection: Selection) -> None:
    """Hand dead letters to their queues again, and say how many.

    Args:
        environment: names the databases and the broker.
        service: whose; of every service with a database there unless given.
        selection: which.

    Raises:
        CannotDo: there is no such letter, or a database or the broker does not answer.
    """
    broker_uri = environment.text("AMQP_URI")
    environment.check()
    if is_memory(broker_uri):
        raise CannotDo(
            "The bus of the embedded store lives in its process: replay with POST /v1/admin/dead-letters/replay."
        )
    known = False
    for name, answer in _of_each(environment, service, broker_uri, lambda letters: _replayed(letters, selection)):
        if answer is None:
            continue
        known = True
        say(f"{name}: {answer['replayed']} replayed")
        if answer["remaining"]:
            say(f"{name}: {answer['remaining']} left: no such queue (`punchcard topology`), or somebody replays them")
    if not known:
        raise CannotDo(f"There is no dead letter {selection.id}.")


def _replayed(letters: DeadLetters, selection: Selection) -> dict[str, int] | None:
    try:
        return letters.replay(selection)
    except Refusal as refusal:
        if refusal.kind is Kind.NOT_FOUND:  # the id is another service's
            return None
        raise


def _of_each(
    environment: Environment, service: str | None, broker_uri: str, call: Callable[[DeadLetters], Any]
) -> Iterator[tuple[str, Any]]:
    names = [service] if service else list(SERVICES)
    urls = {name: environment.text(_variable(name), " ").strip() for name in names}
    unknown = [name for name in names if not urls[name]]
    if len(unknown) == len(names):
        raise CannotDo(f"No database is named: set {', '.join(map(_variable, unknown))}.")
    if unknown:
        sys.stderr.write(f"not asked, since their databases are not named: {', '.join(map(_variable, unknown))}\n")
    for name in names:
        if urls[name]:
            yield name, _ask(name, urls[name], broker_uri, call)


def _ask(name: str, url: str, broker_uri: str, call: Callable[[DeadLetters], Any]) -> Any:
    try:
        database = Database(url)
    except sa.exc.ArgumentError as error:
        raise CannotDo(f"{_variable(name)} is no address of a database.") from error
    try:
        return call(DeadLetters(database, broker_uri))
    except Refusal as refusal:
        cause = refusal.__cause__
        if isinstance(cause, sa.exc.SQLAlchemyError):
            raise CannotDo(f"{name}'s database does not answer: look at {_variable(name)}.") from refusal
        raise CannotDo(f"{name}: {refusal.detail}") from refusal
    except sa.exc.ProgrammingError as error:
        raise CannotDo(f"{name}'s database has no dead letters to ask: `punchcard migrate {name}`.") from error
    finally:
        database.close()


def _variable(name: str) -> str:
    return f"{name.upper()}_DATABASE_URL"


def _table(items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Aligned columns, and under each row its headers."""
    rows = [_COLUMNS, *(_row(item) for item in items)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    yield lines[0]
    for line, item in zip(lines[1:], items, strict=True):
        yield line
        headers = [f"event {item['event_id']}"] if item["event_id"] else []
        headers += [f"{key}={value}" for key, value in sorted(item["headers"].items())]
        if headers:
            yield f"    {_plain(' '.join(headers))}"


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    state = "waits" if item["replayed_at"] is None else f"replayed {item['replayed_at']:%Y-%m-%d %H:%M} UTC"
    cells = (item["id"], item["queue"], item["cause"], str(item["attempts"]), age(item["age_s"]), state)
    return tuple(map(_plain, cells))


def _plain(text: str) -> str:
    """Without anything that a terminal would obey: what stands in a header came over the bus."""
    return "".join(character if character.isprintable() else "?" for character in text)


def age(seconds: int) -> str:
    """Such as ``3 h``: the largest unit of which there is at least one, rounded down."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
