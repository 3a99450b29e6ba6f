"""The command line: ``catalog import FILE`` and ``catalog check FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sqlalchemy.exc import ArgumentError

from catalog.bootstrap import App
from catalog.domain.catalogue import CatalogueInvalid
from catalog.settings import read, read_database_url
from catalog.use_cases.check_catalogue import check_catalogue
from catalog.use_cases.import_catalogue import import_catalogue
from chassis.persistence import Database
from chassis.persistence.migrations import migrate
from chassis.settings import Environment, SettingsError
from kernel.clock import SystemClock
from kernel.errors import Refusal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after the command's name; the process's own unless told.

    Returns:
        0 if all went well, 1 if not (argparse itself ends with 2 on wrong usage).
    """
    options = _parser().parse_args(arguments)
    try:
        text = options.file.read_bytes().decode("utf-8-sig")
        said = _import(text, options.retire_missing) if options.command == "import" else _check(text)
    except CatalogueInvalid as error:
        return _fail(*(_place(options.file, error)), _summary(len(error.problems), options.command))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return _fail(f"{options.file}:{line}: the text is not UTF-8", _summary(1, options.command))
    except OSError as error:
        return _fail(f"{options.file}: {error.strerror}")
    except SettingsError as error:
        return _fail(str(error))
    except (Refusal, ArgumentError):
        return _fail("the database that CATALOG_DATABASE_URL names does not answer; nothing was imported")
    sys.stdout.write(said)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="catalog", description="Products, categories, prices and terms from a file.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    importing = commands.add_parser(
        "import",
        help="make the catalogue what a file says",
        description="Check a catalogue file and import all of it, or nothing if anything is wrong. Safe to repeat. "
        "Reads CATALOG_DATABASE_URL and CATALOG_CURRENCY; brings the database's schema up to date first.",
    )
    importing.add_argument(
        "--retire-missing",
        action="store_true",
        help="take products that the file does not name off sale (they are kept for old orders); "
        "without it they stay as they are",
    )
    checking = commands.add_parser(
        "check",
        help="only check a file",
        description="Check a catalogue file without a database. Reads CATALOG_CURRENCY.",
    )
    for command in (importing, checking):
        command.add_argument("file", metavar="FILE", type=Path, help="the catalogue, YAML or JSON in UTF-8")
    return parser


def _import(text: str, retire_missing: bool) -> str:
    environment = Environment()
    settings = read(environment)
    database = Database(read_database_url(environment))
    try:
        database.ping()
        migrate(database, "catalog")
        report = import_catalogue(App(database, settings), text, retire_missing=retire_missing)
    finally:
        database.close()
    return "".join(
        f"{what}: {', '.join(f'{count} {how}' for how, count in counts.items())}\n"
        for what, counts in asdict(report).items()
    )


def _check(text: str) -> str:
    file = check_catalogue(read(Environment()), text, SystemClock().now())
    counts = ", ".join(f"{what}: {len(file.data[what])}" for what in ("categories", "products", "terms"))
    return f"all right ({counts})\n"


def _place(path: Path, error: CatalogueInvalid) -> list[str]:
    return [
        f"{path}:{problem.line}: {problem.path}: {problem.message}"
        if problem.path
        else f"{path}:{problem.line}: {problem.message}"
        for problem in error.problems
    ]


def _summary(problems: int, command: str) -> str:
    found = "1 problem" if problems == 1 else f"{problems} problems"
    return f"{found}; nothing was imported" if command == "import" else found


def _fail(*lines: str) -> int:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return 1


if __name__ == "__main__":
    sys.exit(main())
