"""``punchcard``: one command for everything that concerns the store as a whole."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chassis.importing import importing
from punchcard.parts import SERVICES
from punchcard.says import CannotStart, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it did what it should.

    Args:
        arguments: the words after ``punchcard``; the process's own unless given.
    """
    options = _parser().parse_args(arguments)
    result: int = options.command(options)
    return result


def _run(options: argparse.Namespace) -> int:
    with importing():
        from punchcard.embedded import run
    try:
        run(options.folder.resolve(), options.port)
    except CannotStart as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def _services(options: argparse.Namespace) -> int:
    with importing():
        from chassis.local_servers import ServerError
        from punchcard.processes import run

    try:
        return run(options.folder.resolve(), options.port, dict(options.scale), options.restart_after)
    except (ServerError, CannotStart) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


def _service(options: argparse.Namespace) -> int:
    with importing():
        from chassis.runner import run
        from chassis.service import load
        from chassis.settings import SettingsError

        load(options.name)
    try:
        run(options.name)
    except SettingsError as problem:
        sys.stderr.write(f"{options.name} cannot start: {problem}\n")
        return 1
    return 0


def _migrate(options: argparse.Namespace) -> int:
    with importing():
        from chassis.runner import migrate_service
        from chassis.settings import Environment

    for name in options.names or SERVICES:
        say(f"{name}: {'brought up to date' if migrate_service(name, Environment()) else 'is up to date'}")
    return 0


def _topology(_options: argparse.Namespace) -> int:
    with importing():
        from chassis.messaging.topology import explain
        from chassis.runner import declare_topology
        from chassis.runtime import read_queue_type
        from chassis.service import load
        from chassis.settings import Environment, SettingsError

        classes = [load(name) for name in SERVICES]
    environment = Environment()
    try:
        uri = environment.text("AMQP_URI")
        queue_type = read_queue_type(environment)
        environment.check()
    except SettingsError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    try:
        found = declare_topology(uri, classes, queue_type)
    except OSError as problem:
        sys.stderr.write(f"The broker at AMQP_URI does not answer: {problem}\n")
        return 1
    for line in explain(found):
        sys.stderr.write(f"{line}\n")
    if not found:
        say("every exchange and queue is declared")
    return 1 if found else 0


def _reconcile(options: argparse.Namespace) -> int:
    with importing():
        from chassis.rpc import RpcClient
        from kernel.errors import Refusal
        from punchcard.processes import addresses
        from punchcard.reconcile import ProviderBook, StaffClient, broker_depths, reconcile

    named = "AMQP_URI" in os.environ and "IDENTITY_SIGNING_KEY" in os.environ
    known = os.environ if named else addresses(options.folder)  # never half of one store and half of another
    uri, signing_key = known.get("AMQP_URI"), known.get("IDENTITY_SIGNING_KEY")
    if not uri or not signing_key or uri.startswith("memory:"):
        sys.stderr.write(
            "Say which store: --folder with the folder of a running `punchcard services`, or AMQP_URI and "
            "IDENTITY_SIGNING_KEY in the environment. A store in one process (make run) cannot be asked from outside.\n"
        )
        return 2
    provider, provider_key = known.get("PAYMENTS_PROVIDER_URL"), known.get("PAYMENTS_PROVIDER_KEY")
    book = ProviderBook(provider, provider_key) if provider and provider_key else None
    client = RpcClient(uri, "reconcile")
    try:
        staff = StaffClient(client, signing_key)
        if options.every:
            return _reconcile_for_ever(staff, options, book, broker_depths(uri))
        report = reconcile(staff, book=book, depths=broker_depths(uri), patience_s=options.patience)
    except (Refusal, OSError) as problem:
        sys.stderr.write(f"The store could not be asked: {problem}\n")
        return 2
    finally:
        client.stop()
    say(str(report))
    return 1 if report.breaks else 0


def _reconcile_for_ever(client: Any, options: argparse.Namespace, book: Any, depths: Any) -> int:
    from chassis.observability import logs
    from punchcard.reconciling import keep_reconciling

    logs.configure("reconcile", os.environ.get("PUNCHCARD_LOG_LEVEL", "INFO"))
    never = threading.Event()  # a signal ends the process where it stands: it has nothing to finish
    keep_reconciling(client, never.wait, every_s=options.every, patience_s=options.patience, book=book, depths=depths)
    return 0


def _list_dead_letters(options: argparse.Namespace) -> int:
    from chassis.settings import Environment
    from punchcard import dead_letters

    return _operate(lambda: dead_letters.show(Environment(), options.service, options.cause, options.limit))


def _replay_dead_letters(options: argparse.Namespace) -> int:
    from chassis.messaging.dead_letters import Selection
    from chassis.settings import Environment
    from punchcard import dead_letters

    selection = Selection(id=options.id, cause_prefix=options.cause)
    return _operate(lambda: dead_letters.replay(Environment(), options.service, selection))


def _operate(work: Callable[[], None]) -> int:
    from chassis.settings import SettingsError
    from punchcard.dead_letters import CannotDo

    try:
        work()
    except (CannotDo, SettingsError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def _demo(options: argparse.Namespace) -> int:
    from punchcard.demo import Stopped, walk

    try:
        walk(options.file)
    except Stopped as problem:
        sys.stderr.write(f"\n{problem}\n")
        return 1
    return 0


def _mails(options: argparse.Namespace) -> int:
    from punchcard.mails import preview

    page, *files = preview(options.folder)
    say(f"{len(files) // 2} mails, each as text and as HTML: open {page.resolve()}")
    return 0


def _keys(_options: argparse.Namespace) -> int:
    from punchcard.keys import new_keys

    for name, value in new_keys().items():
        say(f"{name}={value}")
    return 0


def _contracts(options: argparse.Namespace) -> int:
    from punchcard.contracts import differences, write

    if not options.check:
        say(f"{write(options.folder)} files written to {options.folder}")
        return 0
    found = differences(options.folder)
    for line in found:
        sys.stderr.write(line + "\n")
    if found:
        sys.stderr.write("The contracts say something else than the code: `make contracts`, and look at the diff.\n")
    return 1 if found else 0


def _scale(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if name not in (*SERVICES, "gateway") or not count.isdigit() or not 1 <= int(count) <= 32:
        raise argparse.ArgumentTypeError(f"say service=number (1 to 32), for one of {', '.join(SERVICES)}")
    return name, int(count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="punchcard", description="The support-credits store.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, call: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=call)
        return added

    here = Path(".run")
    port = int(os.environ.get("PORT") or 8000)
    run = command("run", _run, "Run the whole store in this process: SQLite, in-memory bus, offline provider.")
    run.add_argument("--port", type=int, default=port, help="on 127.0.0.1 (default: %(default)s)")
    run.add_argument("--folder", type=Path, default=here, help="what it keeps (default: %(default)s)")
    services = command("services", _services, "Run one process a service on RabbitMQ and PostgreSQL.")
    services.add_argument("--port", type=int, default=port, help="of the gateway (default: %(default)s)")
    services.add_argument("--folder", type=Path, default=here / "services", help="data and logs (default: %(default)s)")
    services.add_argument(
        "--scale", type=_scale, action="append", default=[], metavar="SERVICE=N", help="processes of a service"
    )
    services.add_argument(
        "--restart-after", type=float, default=2.0, metavar="SECONDS",
        help="how long a process that died stays away (default: %(default)s)",
    )  # fmt: skip
    service = command("service", _service, "Run one service in this process; settings from the environment.")
    service.add_argument("name", choices=SERVICES)
    migrate = command("migrate", _migrate, "Bring databases up to date.")
    migrate.add_argument("names", nargs="*", metavar="SERVICE", help="all unless named")
    command("topology", _topology, "Declare every exchange and queue on the broker at AMQP_URI.")
    found = command("reconcile", _reconcile, "Prove that nothing was lost or done twice; name every break.")
    found.add_argument(
        "--folder", type=Path, default=here / "services",
        help="of a running `punchcard services`; the environment comes first (default: %(default)s)",
    )  # fmt: skip
    found.add_argument(
        "--patience", type=float, default=60.0, metavar="SECONDS",
        help="how long to look again at what seems broken: it may be under way (default: %(default)s)",
    )  # fmt: skip
    found.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS",
        help="again and again until stopped; operators see the results at /v1/admin/reconciliation (default: once)",
    )  # fmt: skip
    _add_dead_letters(commands)
    demo = command("demo", _demo, "Walk through a purchase over HTTP against a running store.")
    demo.add_argument("--file", type=Path, default=None, help="the store's demo.json (default: the newest in .run)")
    mails = command("mails", _mails, "Write every mail that the store sends into files, to look at.")
    mails.add_argument("--folder", type=Path, default=here / "mails", help="where to (default: %(default)s)")
    command("keys", _keys, "Print a fresh set of keys as environment variables.")
    contracts = command("contracts", _contracts, "Write contracts/ from the code.")
    contracts.add_argument("--check", action="store_true", help="only compare; 1 if they differ")
    contracts.add_argument("--folder", type=Path, default=Path("contracts"))
    return parser


def _add_dead_letters(commands: Any) -> None:
    text = (
        "Events that could not be handled: list them, or hand them to their queues again. Works on the services' "
        "databases (<NAME>_DATABASE_URL) and, to replay, on the broker (AMQP_URI); no service needs to run."
    )
    group = commands.add_parser(
        "dead-letters", help="List or replay events that could not be handled.", description=text
    )
    actions = group.add_subparsers(required=True, metavar="list|replay")
    listing = actions.add_parser(
        "list", help="show them, newest first",
        description="Show each with cause, attempts, age and headers, newest first; values of headers not ours are "
        "masked, bodies never shown. They are kept for 30 days.",
    )  # fmt: skip
    listing.set_defaults(command=_list_dead_letters)
    listing.add_argument("--cause", help="those whose cause begins so, such as malformed: or RuntimeError")
    listing.add_argument("--limit", type=_limit, default=50, help="of each service (default: %(default)s)")
    replay = actions.add_parser(
        "replay", help="hand them to their queues again",
        description="Hand dead letters to the queues they came from, as if they had just come. Each goes once; what "
        "was handled before has no second effect; what fails again is parked again as a new one.",
    )  # fmt: skip
    replay.set_defaults(command=_replay_dead_letters)
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", help="one, as list shows it")
    which.add_argument("--cause", help="those whose cause begins so")
    which.add_argument("--all", action="store_true", help="every one that was not replayed yet")
    for action in (listing, replay):
        action.add_argument("--service", choices=SERVICES, help="of one service only")


def _limit(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError("say a number from 1 to 10000")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
