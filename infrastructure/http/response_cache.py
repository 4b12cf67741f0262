"""Responses kept as bytes until the data behind them changes.

Front ends poll. Whether a batch changed is a matter of two numbers, the position of its newest event and the
generation of the read model, so an answer already written out is sent again after one select by primary
key, which many requests share (`infrastructure/queries/editions.py`). Nothing expires by time, and nothing stale is
sent: both are read for each request.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from application.queries import Edition

KEPT_BYTES: Final = 32_000_000
"""About 2,000 batches of 30 essays."""


class KeptAnswer(NamedTuple):
    """A body as it is sent, and the edition that it is of."""

    content: bytes
    edition: Edition


class KeptAnswers:
    """The answers sent last, up to a sum of `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._answers: OrderedDict[str, KeptAnswer] = OrderedDict()

    def find(self, name: str) -> KeptAnswer | None:
        """Return what is kept under `name`; the caller asks whether its edition is still the present one."""
        answer = self._answers.get(name)
        if answer is not None:
            self._answers.move_to_end(name)
        return answer

    def keep(self, name: str, answer: KeptAnswer) -> None:
        """Keep `answer` in place of an older one, and let go of those not asked for in the longest time."""
        self.drop(name)
        self._answers[name] = answer
        self._bytes += len(answer.content)
        while self._bytes > self._most_bytes:
            self.drop(next(iter(self._answers)))

    def drop(self, name: str) -> None:
        """Let go of what is kept under `name`."""
        answer = self._answers.pop(name, None)
        if answer is not None:
            self._bytes -= len(answer.content)
