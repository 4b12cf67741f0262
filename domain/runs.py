"""The pipeline runs over one batch, and which run's outcome counts.

Theory of operation. A teacher runs pipelines over a batch one after the other. Upstream gives each run a
correlation id; its messages carry no other mark of the run. The phase outcomes of a batch lie in one
partition, so the order in which runs first appear among them is the order of the runs. A phase outcome has
no time of its own (only the time of sending, which a resend renews), so it never competes by time within its
topic: a later run's outcome of a phase replaces an earlier run's, within one run the graver outcome wins, and
what an earlier run says after a later one has begun is a resend.

Pipeline messages lie in another topic, which may be ahead or behind. They have a time of their own, and the
first sending of a phase outcome is close to the fact. So whether the newest pipeline message or the newest
phase outcome is of the later run is decided by these two times, and only where their runs differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from domain.values import BatchStatus, Phase

_GRAVITY: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: 1,
    BatchStatus.COMPLETED_WITH_FAILURES: 2,
    BatchStatus.CANCELLED: 3,
    BatchStatus.FAILED_CRITICALLY: 4,
}

Run = str | None
"""The correlation id of a run's messages; None for all messages that have none."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A phase outcome of one run. `at` is when it was first sent."""

    run: Run
    status: BatchStatus
    processed_count: int
    failed_essay_ids: tuple[str, ...]
    at: datetime

    @property
    def weight(self) -> tuple[int, str, int, tuple[str, ...]]:
        """The place among all outcomes that one run can report for a phase: by gravity, then by content."""
        return (_GRAVITY.get(self.status, 0), self.status, self.processed_count, self.failed_essay_ids)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline message."""

    run: Run
    at: datetime
    final_status: BatchStatus


class Stop(NamedTuple):
    """How, when and by which run upstream stopped the batch."""

    status: BatchStatus
    run: Run
    at: datetime


class Runs:
    """What the runs over one batch have reported: a phase outcome for each phase, and the newest pipeline message.

    `named` holds the phases that pipeline messages have named so far, each with the earliest time at which
    one did.
    """

    __slots__ = ("_newest", "_order", "conclusions", "named", "pipeline")

    def __init__(self) -> None:
        self.conclusions: dict[str, Conclusion] = {}
        self.pipeline: Pipeline | None = None
        self.named: dict[str, datetime] = {}
        self._order: dict[Run, int] = {}
        self._newest: Conclusion | None = None

    def replaces(self, phase: str, outcome: Conclusion) -> bool:
        """Whether `outcome` is to replace what is known of the end of `phase`."""
        known = self.conclusions.get(phase)
        if known is None:
            return True
        place, standing = self._order.get(outcome.run, len(self._order)), self._order[known.run]
        return outcome.weight > known.weight if place == standing else place > standing

    def conclude(self, phase: str, outcome: Conclusion) -> None:
        """Take over a phase outcome that replaces what was known."""
        place = self._order.setdefault(outcome.run, len(self._order))
        self.conclusions[phase] = outcome
        if place == len(self._order) - 1:
            self._newest = outcome

    def is_news(self, message: Pipeline, named: tuple[str, ...]) -> bool:
        """Whether a pipeline message is newer than the newest, or an older one adds to what was named.

        At the same time the first wins.
        """
        known = self.pipeline
        if known is None or message.at > known.at:
            return True
        return message.at != known.at and not self.named.keys() >= set(named)

    def complete(self, message: Pipeline, named: tuple[str, ...]) -> None:
        """Take over a pipeline message: the phases that it names add to those named before."""
        for phase in named:
            self.named[phase] = min(message.at, self.named.get(phase, message.at))
        if self.pipeline is None or message.at > self.pipeline.at:
            self.pipeline = message

    @property
    def outcomes(self) -> dict[str, Conclusion]:
        """The phase outcomes that report results; one that stopped its run or is not final reports none."""
        return {phase: c for phase, c in self.conclusions.items() if c.status.reports_results}

    @property
    def stop(self) -> Stop | None:
        """How the newest run was stopped, None if it was not.

        The pipeline message's word goes before that of a phase of the same run.
        """
        pipeline, newest = self.pipeline, self._newest
        same = pipeline is not None and newest is not None and pipeline.run == newest.run
        if pipeline is not None and (same or newest is None or pipeline.at >= newest.at):
            if pipeline.final_status.stops_the_batch:
                stops = [c.at for c in self._stops(pipeline.run) if c.status is pipeline.final_status]
                return Stop(pipeline.final_status, pipeline.run, max([pipeline.at, *stops]))
            if not same:
                return None
        stopped = self._stops(newest.run) if newest is not None else []
        if newest is None or not stopped:
            return None
        status = max((c.status for c in stopped), key=_GRAVITY.__getitem__)
        return Stop(status, newest.run, max(c.at for c in stopped if c.status is status))

    def author(self, judged_at: datetime | None, judged_by: Run) -> Run:
        """Return the run that made an outcome that no stop decided; None if no message names one.

        `judged_at` and `judged_by` are time and correlation id of the assessment result, None without one. Its
        id counts only where no other message shows to which run it belongs: the newest pipeline message or phase
        outcome that is not older than the assessment, or else a run that has begun and neither ended nor judged.
        """
        pipeline, newest = self.pipeline, self._newest
        spoken: Pipeline | Conclusion | None = newest
        if pipeline is not None and (newest is None or pipeline.at >= newest.at):
            spoken = pipeline
        if spoken is None:
            return judged_by
        if judged_at is None or spoken.at >= judged_at:
            return spoken.run
        is_over = pipeline is not None and pipeline.run == spoken.run
        judgement = self.conclusions.get(Phase.CJ_ASSESSMENT)
        is_judged = judgement is not None and judgement.run == spoken.run
        return judged_by if is_over or is_judged else spoken.run

    def _stops(self, run: Run) -> list[Conclusion]:
        return [c for c in self.conclusions.values() if c.run == run and c.status.stops_the_batch]
