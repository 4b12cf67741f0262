"""The rows of a projection's statement as the text that goes over the wire, written fast.

What orjson writes for a list of strings, numbers and times is PostgreSQL's text form of an array, but for the
brackets and for control characters: an array takes the character after a backslash as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from projections.projection import GIVEN, array_text

_ESCAPED_CONTROL: Final = re.compile(rb"\\[bfnrtu]")


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
