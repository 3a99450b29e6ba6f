"""Statements that are built and compiled once.

Building a statement with SQLAlchemy and finding its compiled form costs several times what the driver needs to send it.
A `Statement` is built when its module is loaded and compiled at its first use; from then on, using it is a look-up.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import NullType, TypeDecorator

#: A row: its values by the names of its columns.
Row = Mapping[Any, Any]
Convert = Callable[[Any], Any]
_numbers = itertools.count(1)


class _WithConstants(PGCompiler):
    """Writes values that are known when a statement is built as they are. PostgreSQL then plans it once for all of its
    executions; with a parameter in their place, no plan made once could use an index of some rows only.
    """

    def visit_bindparam(self, bindparam: sa.BindParameter[Any], *arguments: Any, **options: Any) -> str:
        if not bindparam.required:
            options["literal_binds"] = True
        written: str = super().visit_bindparam(bindparam, *arguments, **options)  # type: ignore[no-untyped-call]  # it has no types
        return written


class _Numbered(PGDialect_psycopg2):
    """Writes parameters as PREPARE has them."""

    statement_compiler = _WithConstants
    supports_statement_cache = True


_NUMBERED: sa.Dialect = _Numbered(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # it has no types


class Statement:
    """A statement whose values are named (`sqlalchemy.bindparam`); made once and used often.

    Args:
        clause: the statement, without lists (``in_``); see `one_of` and `any_of`.
        sqlite: the statement for SQLite, where that is another one.
    """

    def __init__(self, clause: sa.Executable, sqlite: sa.Executable | None = None) -> None:
        self.clause = clause
        self.for_sqlite = sqlite if sqlite is not None else clause
        self._compiled: Compiled | None = None

    @property
    def compiled(self) -> Compiled:
        """The statement for PostgreSQL."""
        if self._compiled is None:
            self._compiled = Compiled(self.clause)
        return self._compiled


class Compiled:
    """A statement as PostgreSQL prepares it, and how values get in and out.

    A server that has prepared a statement neither reads nor plans it again; that is a third of what a short one costs.
    """

    def __init__(self, clause: Any) -> None:
        compiled = clause.compile(dialect=_NUMBERED)
        if "POSTCOMPILE" in compiled.string:
            raise TypeError("a list is another statement for each length: use `one_of` or `any_of`")
        order: list[str] = list(compiled.positiontup or ())
        self._names = frozenset(order)
        kinds = {name: compiled.binds[name].type.dialect_impl(_NUMBERED) for name in order}
        self.name = f"s{next(_numbers)}"
        types = ", ".join(_type_name(kinds[name]) for name in order)
        #: What prepares it, once a connection.
        self.prepare = f"PREPARE {self.name} {f'({types})' if order else ''} AS {compiled.string}".encode()
        places = "(" + ", ".join(["%s"] * len(order)) + ")" if order else ""
        #: What executes it, for the driver: its values in order.
        self.execute = f"EXECUTE {self.name} {places}"
        self._order = order
        self._to_database: list[tuple[int, Convert]] = [
            (place, convert)
            for place, name in enumerate(order)
            if (convert := kinds[name].bind_processor(_NUMBERED)) is not None
        ]
        self._results = [column.type.dialect_impl(_NUMBERED) for column in getattr(clause, "exported_columns", ())]
        self._from_database: dict[str, Convert] = {}
        self._columns: list[str] = []

    def parameters(self, values: Row) -> list[Any]:
        """The values of one execution, in the order of the statement.

        Raises:
            TypeError: a value is missing, or there is one too many.
        """
        if values.keys() != self._names:
            raise TypeError(f"the statement takes {sorted(self._names)}, not {sorted(values)}")
        found = [values[name] for name in self._order]
        for place, convert in self._to_database:
            found[place] = convert(found[place])
        return found

    def rows(self, cursor: Any) -> list[dict[str, Any]]:
        """All rows that an execution gave."""
        if not self._columns:
            self._learn_columns(cursor.description)
        found = [dict(zip(self._columns, values, strict=True)) for values in cursor.fetchall()]
        for name, convert in self._from_database.items():
            for row in found:
                row[name] = convert(row[name])
        return found

    def _learn_columns(self, described: Any) -> None:
        for kind, column in zip(self._results, described, strict=True):
            convert = kind.result_processor(_NUMBERED, column.type_code)
            if convert is not None:
                self._from_database[column.name] = convert
        self._columns = [column.name for column in described]


def _type_name(kind: Any) -> str:
    if isinstance(kind, _List):
        return "varchar[]"
    if isinstance(kind, sa.String) and not isinstance(kind, sa.Text):
        return "varchar"  # how long it may be is for the column to say: looking here too would cost a call each
    return "unknown" if isinstance(kind, NullType) else str(kind.compile(dialect=_NUMBERED))


def one_of(column: sa.ColumnElement[Any], values: Iterable[Any]) -> sa.ColumnElement[bool]:
    """Whether a column has one of a few values that are known when the statement is built."""
    return sa.or_(*(column == value for value in values))


def any_of(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """Whether a column has one of the values in a list, which is given as the value `name`: the same statement for any
    length of it.
    """
    return _AnyOf(column, sa.bindparam(name, type_=_List()))


class _List(TypeDecorator[Any]):
    """A list of texts as one parameter: an array to PostgreSQL, JSON to SQLite."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return json.dumps(list(value)) if dialect.name == "sqlite" else list(value)


class _AnyOf(sa.ColumnElement[bool]):
    inherit_cache = True
    type = sa.Boolean()
    _is_implicitly_boolean = True  # a condition as it stands, on SQLite too
    _traverse_internals = [
        ("column", InternalTraversal.dp_clauseelement),
        ("values", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: sa.ColumnElement[Any], values: sa.BindParameter[Any]) -> None:
        self.column = column
        self.values = values


@compiles(_AnyOf, "postgresql")
def _any_of_array(element: _AnyOf, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.column, **options)} = ANY({compiler.process(element.values, **options)})"


@compiles(_AnyOf, "sqlite")
def _any_of_json(element: _AnyOf, compiler: Any, **options: Any) -> str:
    values = compiler.process(element.values, **options)
    column = compiler.process(element.column, **options)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # of a column's name and a parameter


def violates(error: sa.exc.IntegrityError, constraint: str, columns: str) -> bool:
    """Whether an error is about one unique constraint.

    Args:
        error: what was raised.
        constraint: its name, by which PostgreSQL calls it.
        columns: its columns, by which SQLite calls it: ``table.column, table.column``.
    """
    said = str(error.orig)
    return f'"{constraint}"' in said or f"constraint failed: {columns}" in said


@cache
def insertion(table: sa.Table, columns: tuple[str, ...]) -> Statement:
    """The statement that inserts a row with values for these columns, named as they are."""
    return Statement(sa.insert(table).values(_named(table, columns)))


@cache
def insertion_if_new(table: sa.Table, columns: tuple[str, ...]) -> Statement:
    """The same, doing nothing where a unique key has such a row already."""
    values = _named(table, columns)
    return Statement(
        postgresql.insert(table).values(values).on_conflict_do_nothing(),
        sqlite=sqlite.insert(table).values(values).on_conflict_do_nothing(),
    )


def _named(table: sa.Table, columns: tuple[str, ...]) -> dict[str, Any]:
    return {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}
