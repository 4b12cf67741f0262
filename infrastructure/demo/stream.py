"""Many batches at once, as they lie in upstream's topics: interleaved, partly late, partly twice.

Two generators for two uses. `stream` draws a scenario with class sizes, failures, disorder and
repeats, and knows what must come of each batch in whichever order its messages are read. `bulk`
(in its own module, offered here too) copies one good batch many times for benchmarks.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Final

from infrastructure.demo.bulk import bulk, iterate_bulk
from infrastructure.demo.script import (
    START,
    BatchScript,
    ExpectedBatch,
    draw_script,
    draw_uuid,
    first_job,
    seeded,
)
from infrastructure.demo.upstream import UpstreamMessage, batch_messages, sent_again

__all__ = ["CLASS_SIZES", "START", "ExpectedBatch", "Scenario", "bulk", "iterate_bulk", "stream"]

CLASS_SIZES: Final = (1, 8, 24, 30, 90)
LATEST_ARRIVAL_S: Final = 60.0
"""A message that is late arrives at most this many seconds after it was sent."""

LATEST_REPEAT_S: Final = 90.0
"""A message that comes again was sent again at most this many seconds later."""

_BETWEEN_BATCHES_S: Final = (0.5, 3.5)
"""Far less than the minute or two that a batch takes, so that dozens are open at a time."""

_SPELLCHECK_ONLY_SHARE: Final = 0.15
_ANALYSED_SHARE: Final = 0.5
_LARGEST_JUDGED_CLASS: Final = 30
"""Every pair is judged, so the answers grow with the square of the class."""


@dataclass(frozen=True)
class Scenario:
    """A stream that can be read again and again, always with the same bytes, and what must come of it.

    `disorder` is the share of messages that arrive late, `repeats` the share that comes twice; both
    lie in [0, 1].
    """

    seed: int
    scripts: tuple[BatchScript, ...]
    disorder: float
    repeats: float

    @property
    def expected(self) -> dict[str, ExpectedBatch]:
        """What must hold of each batch, by batch id, once the whole stream is in."""
        return {script.batch_id: script.expected for script in self.scripts}

    def __iter__(self) -> Iterator[UpstreamMessage]:
        """Yield the messages in order of arrival, holding no more than the open batches in memory."""
        waiting: list[tuple[datetime, int, UpstreamMessage]] = []
        numbers = count()
        for script in self.scripts:
            while waiting and waiting[0][0] <= script.starts_at:
                yield heapq.heappop(waiting)[2]
            for arrives_at, message in self._arrivals(script):
                heapq.heappush(waiting, (arrives_at, next(numbers), message))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _arrivals(self, script: BatchScript) -> Iterator[tuple[datetime, UpstreamMessage]]:
        dice = seeded(self.seed, script.batch_id, "arrivals")
        for message in batch_messages(script):
            yield message.sent_at + self._delay(dice), message
            if dice.random() < self.repeats:
                again_at = message.sent_at + timedelta(seconds=dice.uniform(1, LATEST_REPEAT_S))
                by_relay = dice.random() < 0.5
                repeat = (
                    sent_again(message, event_id=draw_uuid(dice), sent_at=again_at) if by_relay else message
                )
                yield again_at + self._delay(dice), repeat

    def _delay(self, dice: Random) -> timedelta:
        late = dice.random() < self.disorder
        return timedelta(seconds=dice.uniform(0, LATEST_ARRIVAL_S) if late else 0)


def stream(
    seed: int,
    batches: int,
    *,
    class_sizes: Sequence[int] = CLASS_SIZES,
    failure_share: float = 0.25,
    disorder: float = 0.2,
    repeats: float = 0.05,
    judged: int = 0,
    start: datetime = START,
) -> Scenario:
    """Draw a scenario of `batches` batches, each of a size out of `class_sizes`.

    `failure_share` is the share of batches with failed spellchecks (some for good, some retried, some
    for the whole class). Of the first `judged` classes of 2 to 30 that are assessed, each judge's answer is
    in the stream too. All data is dated from `start` on. Raises ValueError when a share is not in
    [0, 1].
    """
    for name, share in (("failure_share", failure_share), ("disorder", disorder), ("repeats", repeats)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share between 0 and 1, not {share}")
    dice = seeded(seed, "stream")
    scripts: list[BatchScript] = []
    starts_at = start
    for number in range(batches):
        essays = dice.choice(class_sizes)
        failed, rechecked = _troubles(dice, essays) if dice.random() < failure_share else (0, 0)
        script = draw_script(
            f"{seed}:{number}",
            starts_at=starts_at,
            user_id=f"teacher-{dice.randint(1, max(1, batches // 4)):04d}",
            job_id=str(first_job(seed) + number),
            essays=essays,
            failed=failed,
            rechecked=rechecked,
            assessed=dice.random() >= _SPELLCHECK_ONLY_SHARE,
        )
        if judged and script.assessed and 2 <= len(script.surviving_essay_ids) <= _LARGEST_JUDGED_CLASS:
            script = replace(script, judged=True)
            judged -= 1
        # Drawn apart, so that the rest of a stream stays as it was.
        analysed = seeded(seed, number, "analysed").random() < _ANALYSED_SHARE
        scripts.append(replace(script, analysed=analysed))
        starts_at += timedelta(seconds=dice.uniform(*_BETWEEN_BATCHES_S))
    return Scenario(seed, tuple(scripts), disorder, repeats)


def _troubles(dice: Random, essays: int) -> tuple[int, int]:
    """Return how many essays of a troubled class fail for good, and how many only at first."""
    some = dice.randint(1, max(1, essays // 6))
    kind = dice.choices(("some fail", "some are rechecked", "all fail"), weights=(6, 3, 2))[0]
    if kind == "all fail":
        return essays, 0
    return (some, 0) if kind == "some fail" and essays > 1 else (0, some)
