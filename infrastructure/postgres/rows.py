"""A projection's statement as it goes over the wire: its SQL, and its rows as text, both written fast.

What orjson writes for a list of strings, numbers and times is PostgreSQL's text form of an array, but for the
brackets and for control characters: an array takes the character after a backslash as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import CompilerElement

from projections.projection import GIVEN, array_text

_ESCAPED_CONTROL: Final = re.compile(rb"\\[bfnrtu]")
_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class Sql(NamedTuple):
    """A statement in the driver's own form, and those of its parameters that are always the same."""

    text: bytes
    constants: Mapping[str, Any]


@cache
def sql_of(statement: CompilerElement) -> Sql:
    """Return what SQLAlchemy makes of a statement, for psycopg's connections; for those that a module keeps.

    SQLAlchemy's own connections cost several times as much as the statement, and compile some each time.
    """
    compiled = statement.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)
    constants = {name: each.value for name, each in compiled.binds.items() if not each.required}
    return Sql(str(compiled).encode(), constants)


def encoded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a statement with its columns of rows as text.

    A projection's own way to write them takes several times as long, and is what is left for what orjson does
    not write: integers beyond 64 bits in what upstream says freely, and control characters.
    """
    return {name: _text(value) if name.startswith(GIVEN) else value for name, value in parameters.items()}


def _text(column: Sequence[Any]) -> str:
    try:
        written = orjson.dumps(_flat(column), default=_plain)
    except TypeError:
        return array_text(column)
    if _ESCAPED_CONTROL.search(written):
        return array_text(column)
    return f"{{{written[1:-1].decode()}}}"


def _flat(column: Sequence[Any]) -> Sequence[Any]:
    """Return the column with objects and lists as JSON texts."""
    first = next((value for value in column if value is not None), None)
    if not isinstance(first, dict | list | tuple):
        return column
    return [None if value is None else orjson.dumps(value).decode() for value in column]


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"  # the text form of bytea
    raise TypeError(f"{type(value).__name__} is no value of a column")
