"""Finds the ids in a message, even in a broken one. They connect a dead letter with its batch.

An id counts where it is the key, or a whole text of the JSON value. Where the value is not JSON, it counts where it
is a whole word: `b1` is not in `b10`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any, Final

import orjson

_WORDS: Final = re.compile(r"[\w.:@+-]+")
_AROUND: Final = ".:@+-"


def carries_any(ids: Set[str], key: bytes | None, value: bytes | None) -> bool:
    """Tell whether the message of `key` and `value` carries one of `ids`."""
    if key is not None and key.decode("utf-8", "replace") in ids:
        return True
    return value is not None and any(text in ids for text in _texts(value))


def _texts(value: bytes) -> Iterator[str]:
    try:
        yield from _leaves(orjson.loads(value))
    except orjson.JSONDecodeError:
        for word in _WORDS.findall(value.decode("utf-8", "replace")):
            yield word
            yield word.strip(_AROUND)


def _leaves(root: Any) -> Iterator[str]:
    """Yield the texts in `root`, names of members too: some messages are keyed by essay."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            yield from part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
