"""A fast decoder for the messages of which there are most, derived from their contracts.

The contract is the pydantic model alone. From it, this module derives msgspec types that accept a part of what the model
accepts, and nothing else, with the same values. What they refuse, the model reads: it has the last word, and it
explains what is wrong. tests/application/test_fast_reading.py holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
import msgspec
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_NUL: Final = b"\\u0000"
_FRACTION: Final = re.compile(rb"\.\d{7}")
_FINE_SECONDS: Final = re.compile(rb":\d\d\.\d{7}")
"""Digits after the microseconds: pydantic drops them, msgspec rounds."""

_FIRST_YEAR: Final = 1970

_LIST: Final[Any] = list
_DICT: Final[Any] = dict

_Flat = str | int | float | bool | None
_Shallow = dict[str, _Flat] | list[_Flat] | _Flat
_Free = dict[str, _Shallow] | list[_Shallow] | _Flat
"""What free-form members hold, nearly always. The model reads what is nested more deeply."""

Path = tuple[str, ...]


class UnsupportedContractError(TypeError):
    """A contract holds something that no msgspec type stands for."""


class FastReader:
    """Reads messages of one contract, or leaves them to the model."""

    def __init__(self, model: type[BaseModel]) -> None:
        """Derive the decoder. Raises UnsupportedContractError."""
        times: list[Path] = []
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(_struct(model, (), times)).decode
        self._times: Callable[[Any], Any] = attrgetter(*(".".join(path) for path in times), "event_type")

    def read(self, value: bytes, last_year: int) -> Any | None:
        """Return the envelope with the attributes of the model; None where the model must read the message.

        All its times are in UTC, or without a zone, and from 1970 to before `last_year`.
        """
        if (b"\\" in value and _NUL in value) or (_FRACTION.search(value) and _FINE_SECONDS.search(value)):
            return None
        try:
            envelope = self._decode(value)
        except (msgspec.MsgspecError, ValueError):
            return None
        for time in self._times(envelope)[:-1]:
            if time is not None and not (
                _FIRST_YEAR <= time.year < last_year and (time.tzinfo is UTC or time.tzinfo is None)
            ):
                return None
        return envelope


def _struct(model: type[BaseModel], path: Path, times: list[Path]) -> type[msgspec.Struct]:
    """Return the type for a model, and note in `times` where its times are; `path` leads to it."""
    if model.__pydantic_decorators__.model_validators or model.__pydantic_decorators__.field_validators:
        raise UnsupportedContractError(f"{model.__name__} has validators")
    if model.model_config.get("extra") == "allow":
        raise UnsupportedContractError(f"{model.__name__} keeps members that nobody knows")
    fields = [_field(name, info, (*path, name), times) for name, info in model.model_fields.items()]
    return msgspec.defstruct(
        f"Fast{model.__name__}", fields, kw_only=True, gc=False, forbid_unknown_fields=True
    )


def _field(name: str, info: FieldInfo, path: Path, times: list[Path]) -> Any:
    annotation = _derived(_annotated(info), path, times)
    if info.default_factory is not None:
        return name, annotation, msgspec.field(default_factory=info.default_factory)  # type: ignore[arg-type]
    if info.default is PydanticUndefined:
        return name, annotation
    return name, annotation, info.default


def _annotated(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _derived(annotation: Any, path: Path, times: list[Path]) -> Any:
    """Return the msgspec annotation for one of pydantic's."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _constrained(arguments[0], list(arguments[1:]), path, times)
    if origin in (Union, UnionType):
        return _union([part for part in arguments if part is not NoneType], arguments, path, times)
    if origin is list:
        inner: list[Path] = []
        element = _derived(arguments[0], path, inner)
        if inner:
            raise UnsupportedContractError(f"{'.'.join(path)} is a list with times")
        return _LIST[element]
    if origin is dict:
        return _DICT[arguments[0], _derived(arguments[1], path, [])]
    if annotation is Any:
        return _Free
    if origin is Literal or annotation in (str, int, float, bool):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _struct(annotation, path, times)
    raise UnsupportedContractError(f"{'.'.join(path)}: {annotation}")


def _union(parts: list[Any], arguments: tuple[Any, ...], path: Path, times: list[Path]) -> Any:
    if len(parts) > 1:
        if not all(
            isinstance(part, type) and issubclass(part, str) and issubclass(part, Enum) for part in parts
        ):
            raise UnsupportedContractError(f"{'.'.join(path)}: a union")
        # The members are texts, and are used as such: which of the types one is of makes no difference.
        inner: Any = Literal[tuple(dict.fromkeys(str(member.value) for part in parts for member in part))]
    else:
        noted: list[Path] = []
        inner = _derived(parts[0], path, noted)
        if any(time != path for time in noted):
            raise UnsupportedContractError(f"{'.'.join(path)} may be absent and has times")
        times += noted
    return inner | None if NoneType in arguments else inner


def _constrained(base: Any, constraints: list[Any], path: Path, times: list[Path]) -> Any:
    if base is datetime:
        times.append(path)
        return datetime
    if get_origin(base) in (Union, UnionType):
        return _derived(base, path, times)
    limits = dict(_limits(constraints, path))
    inner = _derived(base, path, times)
    return Annotated[inner, msgspec.Meta(**limits)] if limits else inner


def _limits(constraints: list[Any], path: Path) -> Iterator[tuple[str, Any]]:
    for constraint in constraints:
        if isinstance(constraint, StringConstraints):
            given = {k: v for k, v in vars(constraint).items() if v is not None and v is not False}
            if pattern := given.pop("pattern", None):
                # pydantic's `$` is the end of the text; the one of `re` also comes before a last line break.
                yield "pattern", str(pattern).replace("$", r"\Z")
            if unknown := given.keys() - {"min_length", "max_length", "strict"}:
                raise UnsupportedContractError(f"{'.'.join(path)}: {unknown}")
            yield from ((k, v) for k, v in given.items() if k != "strict")
        elif isinstance(constraint, annotated_types.Ge):
            yield "ge", constraint.ge
        elif isinstance(constraint, annotated_types.Le):
            yield "le", constraint.le
        elif isinstance(constraint, annotated_types.Gt):
            yield "gt", constraint.gt
        elif isinstance(constraint, annotated_types.MinLen):
            yield "min_length", constraint.min_length
        elif isinstance(constraint, annotated_types.MaxLen):
            yield "max_length", constraint.max_length
        elif isinstance(constraint, FieldInfo):
            yield from _limits(constraint.metadata, path)
        elif type(constraint).__name__ != "_PydanticGeneralMetadata":
            raise UnsupportedContractError(f"{'.'.join(path)}: {constraint}")
