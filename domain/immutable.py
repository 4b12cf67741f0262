"""Values and events that nobody changes once they are made.

mypy refuses an assignment to a field, as it does with `dataclass(frozen=True)`. At run time nothing checks it: the check
makes an object of seven fields eight times as expensive, and the ingester makes some six objects for each message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def immutable(*, kw_only: bool = False, slots: bool = True) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass whose objects are compared and hashed by their fields."""
    return dataclass(kw_only=kw_only, slots=slots, unsafe_hash=True)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of an immutable object with slots, by name; objects in them stay as they are."""
    return {name: getattr(value, name) for name in value.__slots__}
