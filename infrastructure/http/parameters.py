"""Parameters of a request: each is described and read by one object, which stands beside the handler that takes it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, Generic, TypeVar

from starlette.requests import Request

from application.list_cursor import CURSOR_PATTERN, ListCursor
from infrastructure.http.problems import Problem

_DIGITS: Final = 18
"""Of a position or cursor: as many as a bigint always holds."""
_LONGEST_ID: Final = 255
_NOT_OURS: Final = "This cursor is not one of ours; take it from next_cursor."
_MOST_NAMES: Final = 100

_Choice = TypeVar("_Choice", bound=StrEnum)


class Parameter:
    """A parameter of the query; this one is described, and read as text."""

    place: ClassVar[str] = "query"

    def __init__(self, name: str, description: str, schema: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._described = {
            "name": name,
            "in": self.place,
            "description": description,
            "schema": {"type": "string"} if schema is None else dict(schema),
        }

    def described(self) -> dict[str, Any]:
        """Return it as OpenAPI has it."""
        return self._described

    def text(self, request: Request) -> str | None:
        """Return what is given, None without."""
        return request.query_params.get(self.name)


class Header(Parameter):
    """A header, which is only described."""

    place = "header"


class Whole(Parameter):
    """A whole number that has a default. Nothing is refused: upstream's clients rely on the fallback."""

    def __init__(self, name: str, description: str, *, default: int, lowest: int, highest: int) -> None:
        taken: dict[str, Any] = {"type": ["integer", "string"], "default": default, "examples": [default]}
        texts = f"{description}: a whole number from {lowest:,} to {highest:,}. A greater one counts as {highest:,}"
        super().__init__(name, f"{texts}; anything else counts as {default:,}", taken)
        self._default, self._lowest, self._highest = default, lowest, highest

    def of(self, request: Request) -> int:
        """Return what is given; for what is no number, or too low, the default; for what is too high, the highest."""
        given = self.text(request)
        # int() also reads `1_0`, blanks, signs and the digits of other scripts, and refuses thousands of digits.
        if given is None or not given.isascii() or not given.isdigit():
            return self._default
        value = int(given) if len(given) <= _DIGITS else self._highest
        return self._default if value < self._lowest else min(value, self._highest)


class Amount(Parameter):
    """A number between two bounds, both included."""

    def __init__(
        self, name: str, description: str, *, lowest: float, highest: float, default: float | None = None
    ) -> None:
        bounds: dict[str, Any] = {"type": "number", "minimum": lowest, "maximum": highest}
        super().__init__(name, description, bounds if default is None else {**bounds, "default": default})
        self._default, self._lowest, self._highest = default, lowest, highest

    def of(self, request: Request) -> float | None:
        """Return what is given, else the default. Raises Problem 400 for anything outside the bounds."""
        given = self.text(request)
        if given is None:
            return self._default
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if not self._lowest <= value <= self._highest:
            raise Problem(400, f"{self.name} must be a number from {self._lowest:g} to {self._highest:g}.")
        return value


class Names(Parameter):
    """Names, one each time that the parameter is given (it must be in `routing`'s list of those)."""

    def __init__(self, name: str, description: str) -> None:
        schema = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": _MOST_NAMES}
        super().__init__(name, description, schema)

    def of(self, request: Request) -> tuple[str, ...]:
        """Return what is given, sorted and each once. Raises Problem 400 for too many."""
        given = request.query_params.getlist(self.name)
        if len(given) > _MOST_NAMES:
            raise Problem(400, f"{self.name} may be given {_MOST_NAMES} times.")
        return tuple(sorted(set(given)))


class Flag(Parameter):
    """A yes or no, which is no where it is not given."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, description, {"type": "boolean", "default": False})

    def of(self, request: Request) -> bool:
        """Return what is given. Raises Problem 400 for anything but true and false."""
        given = request.query_params.get(self.name, "false").lower()
        if given not in {"true", "false", "1", "0"}:
            raise Problem(400, f"{self.name} must be true or false.")
        return given in {"true", "1"}


class Position(Parameter):
    """A position of the log, or a cursor, which is one; `refusal` is what a client gets for anything else.

    `counted`: from 1, without leading zeros.
    """

    def __init__(self, name: str, description: str, *, refusal: str, counted: bool = False) -> None:
        pattern = f"^[1-9][0-9]{{0,{_DIGITS - 1}}}$" if counted else f"^[0-9]{{1,{_DIGITS}}}$"
        super().__init__(name, description, {"type": "string", "pattern": pattern})
        self._pattern = re.compile(pattern.replace("$", r"\Z"))
        self._refusal = refusal

    def of(self, request: Request) -> int | None:
        """Return what is given, None without. Raises Problem 400 for what is no position."""
        given = self.text(request)
        if given is None:
            return None
        if self._pattern.match(given) is None:
            raise Problem(400, self._refusal)
        return int(given)


class BatchCursor(Parameter):
    """Where a page of a list of batches begins."""

    def __init__(self) -> None:
        described = "`next_cursor` of the page before: stays right while batches arrive, other than `offset`"
        super().__init__("cursor", described, {"type": "string", "pattern": CURSOR_PATTERN})

    def of(self, request: Request) -> ListCursor | None:
        """Return what is given, None without. Raises Problem 400 for what is no cursor."""
        given = self.text(request)
        found = None if given is None else ListCursor.parse(given)
        if given is not None and found is None:
            raise Problem(400, _NOT_OURS)
        return found


class Choice(Parameter, Generic[_Choice]):
    """One of several words; `default` is only described."""

    def __init__(
        self, name: str, description: str, choices: type[_Choice], *, default: _Choice | None = None
    ) -> None:
        schema = {"type": "string", "enum": [choice.value for choice in choices]}
        super().__init__(
            name, description, schema if default is None else {**schema, "default": default.value}
        )
        self._choices = choices

    def of(self, request: Request) -> _Choice | None:
        """Return what is given, None without. Raises Problem 400 for another word."""
        given = self.text(request)
        if given is None:
            return None
        try:
            return self._choices(given)
        except ValueError:
            raise Problem(400, f"{self.name} must be one of {', '.join(self._choices)}.") from None


CURSOR: Final = Position("cursor", "`next_cursor` of the page before", refusal=_NOT_OURS)
BATCH_CURSOR: Final = BatchCursor()


def limit(default: int, highest: int) -> Whole:
    """Return the parameter that says how many a page has."""
    return Whole("limit", "At most this many", default=default, lowest=1, highest=highest)


def path_parameter(name: str) -> dict[str, Any]:
    """Describe an identifier in the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "maxLength": _LONGEST_ID},
    }


def is_id(value: str) -> bool:
    """Tell whether a text can be an identifier of upstream's."""
    return 0 < len(value) <= _LONGEST_ID and "\0" not in value


def id_of(request: Request, name: str, *, error: str) -> str:
    """Return an identifier from the path. Raises Problem 400 for one that cannot be any."""
    value = str(request.path_params[name])
    if not is_id(value):
        raise Problem(400, f"This cannot be an identifier: {name}.", error=error)
    return value
