"""Expected failures. The text of each is the sentence that a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class OperatorError(Exception):
    """Something cannot be done, and nothing of ours is broken; the text says why and what to do.

    A command that ends with one prints the text alone and exits with `exit_code`.
    """

    exit_code: ClassVar = 1
    has_lines: ClassVar = False
    """Whether the newlines of the text are ours. Where not, one can only come from outside, and is escaped."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Return what is behind `error`, the innermost first, and `error` last: a library wraps a driver's error in its own.

    Where one is raised from the other and wrapped by it as well, each comes once.
    """
    found: list[BaseException] = []
    each: object = error
    while isinstance(each, BaseException) and each not in found:
        found.append(each)
        each = getattr(each, "orig", None) or each.__cause__
    return reversed(found)
