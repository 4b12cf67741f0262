"""Expected failures. The text of each is the sentence that a person reads."""

from __future__ import annotations

from typing import ClassVar


class OperatorError(Exception):
    """Something cannot be done, and nothing of ours is broken; the text says why and what to do.

    A command that ends with one prints the text alone and exits with `exit_code`.
    """

    exit_code: ClassVar = 1
    has_lines: ClassVar = False
    """Whether the newlines of the text are ours. Where not, one can only come from outside, and is escaped."""
