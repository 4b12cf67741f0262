"""Request bodies: each type is written once, and requests are read and described from it."""

from __future__ import annotations

from base64 import b64decode
from functools import cache
from typing import Annotated, Any, Final, NotRequired, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError, with_config
from starlette.requests import Request
from typing_extensions import TypedDict

from application.settle import LARGEST_CORRECTION
from application.short_text import LONGEST, SHORT_TEXT, is_short_text
from infrastructure.http.problems import Problem

_MOST_BYTES: Final = 10_000
_MOST_OF_A_MESSAGE: Final = LARGEST_CORRECTION * 4 // 3 + _MOST_BYTES
"""A message of Kafka in base64, and what is around it."""

_BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

_Body = TypeVar("_Body")


def _short_text(text: str) -> str:
    if not is_short_text(text):
        raise ValueError
    return text


def _base64(text: str) -> str:
    b64decode(text, validate=True)
    return text


def _whole(value: object) -> object:
    """Return the whole number that a number with nothing behind its point is, as JSON Schema counts."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


ShortText = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST, description="Printable, on one line"),
    AfterValidator(_short_text),
]
Number = Annotated[int, Field(ge=0), BeforeValidator(_whole)]


@with_config(extra="forbid", strict=True)
class Nothing(TypedDict):
    """No member."""


@with_config(extra="forbid", strict=True)
class Signed(TypedDict):
    """An order, and who gives it."""

    by: NotRequired[ShortText]


@with_config(extra="forbid", strict=True)
class Reasoned(Signed):
    """An order, and why it is given."""

    why: ShortText


@with_config(extra="forbid", strict=True)
class Correction(Reasoned):
    """A corrected message, in base64, that is ingested in place of a dead letter."""

    value: Annotated[
        str,
        Field(json_schema_extra={"contentEncoding": "base64", "pattern": _BASE64}),
        AfterValidator(_base64),
    ]


@with_config(extra="forbid", strict=True)
class SignedForMany(Signed):
    """An order for as many letters as the operator has seen."""

    expected: Number


@with_config(extra="forbid", strict=True)
class ReasonedForMany(Reasoned, SignedForMany):
    """Both."""


_REQUIREMENTS: Final = {
    "by": f"must be {SHORT_TEXT}",
    "why": f"must be {SHORT_TEXT}",
    "value": "must be the message's bytes in base64",
    "expected": "must say how many open letters you have seen: `settleable` of the list",
}


async def body_of(request: Request, kind: type[_Body]) -> _Body:
    """Return the JSON object in the body, which may be missing where all its members may.

    Raises Problem 400 for anything that `kind` does not describe, other members among it: a misspelt one would be
    ignored, and the order be carried out without it.
    """
    most = _MOST_OF_A_MESSAGE if kind is Correction else _MOST_BYTES
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise Problem(400, f"The body is longer than {most:,} bytes.")
    try:
        body: _Body = _reader(cast(Any, kind)).validate_json(content or b"{}")
    except ValidationError as error:
        raise Problem(400, _complaint(error, kind)) from error
    return body


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _complaint(error: ValidationError, kind: Any) -> str:
    faults = error.errors(include_url=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        return "The body is not JSON."
    if not faults[0]["loc"]:
        return "The body must be a JSON object."
    unknown = [str(fault["loc"][0]) for fault in faults if fault["type"] == "extra_forbidden"]
    if unknown:
        members = sorted(kind.__annotations__)
        there_are = f"there are {', '.join(members)}" if members else "there is none here"
        return f"There is no member {', '.join(unknown)[:200]!r}: {there_are}."
    member = str(faults[0]["loc"][0])
    return f"{member} {_REQUIREMENTS[member]}."


def operator_of(request: Request, body: Signed) -> str:
    """Return who gives the order: the operator that the body names, else the service that asks."""
    return body.get("by") or str(request.headers["x-service-id"])
