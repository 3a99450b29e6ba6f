"""``punchcard``: one command for everything that concerns the store as a whole."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from punchcard.parts import SERVICES
from punchcard.says import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it did what it should.

    Args:
        arguments: the words after ``punchcard``; the process's own unless given.
    """
    options = _parser().parse_args(arguments)
    result: int = options.command(options)
    return result


def _run(options: argparse.Namespace) -> int:
    from punchcard.embedded import CannotStart, run

    try:
        run(options.folder.resolve(), options.port)
    except CannotStart as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def _services(options: argparse.Namespace) -> int:
    from chassis.local_servers import ServerError
    from punchcard.processes import CannotStart, run

    try:
        return run(options.folder.resolve(), options.port, dict(options.scale), options.restart_after)
    except (ServerError, CannotStart) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


def _service(options: argparse.Namespace) -> int:
    from chassis.runner import run
    from chassis.settings import SettingsError

    try:
        run(options.name)
    except SettingsError as problem:
        sys.stderr.write(f"{options.name} cannot start: {problem}\n")
        return 1
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from chassis.runner import migrate_service
    from chassis.settings import Environment

    for name in options.names or SERVICES:
        say(f"{name}: {'brought up to date' if migrate_service(name, Environment()) else 'is up to date'}")
    return 0


def _topology(_options: argparse.Namespace) -> int:
    from chassis.messaging.link import is_memory
    from chassis.runner import declare_topology, load
    from chassis.settings import Environment

    environment = Environment()
    uri = environment.text("AMQP_URI")
    queue_type = environment.text("PUNCHCARD_QUEUE_TYPE", "quorum")
    environment.check()
    declare_topology(uri, [load(name) for name in SERVICES], None if is_memory(uri) else queue_type)
    say("every exchange and queue is declared")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from punchcard.demo import Stopped, walk

    try:
        walk(options.file)
    except Stopped as problem:
        sys.stderr.write(f"\n{problem}\n")
        return 1
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
    demo = command("demo", _demo, "Walk through a purchase over HTTP against a running store.")
    demo.add_argument("--file", type=Path, default=None, help="the store's demo.json (default: the newest in .run)")
    command("keys", _keys, "Print a fresh set of keys as environment variables.")
    contracts = command("contracts", _contracts, "Write contracts/ from the code.")
    contracts.add_argument("--check", action="store_true", help="only compare; 1 if they differ")
    contracts.add_argument("--folder", type=Path, default=Path("contracts"))
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
