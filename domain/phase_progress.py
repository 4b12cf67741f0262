"""How far a batch is in each of its phases: counts of essays, for a teacher who watches.

Nothing is decided here. How an essay stands in a phase is `completion.py`'s answer, which the tally counts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from domain.completion import Tally
from domain.values import BatchStatus, in_pipeline_order

REGISTRATION: Final = "registration"
"""The phase before the pipeline: each essay that the registration names gets its file."""
LANGUAGE_ANALYSIS: Final = "nlp"


class PhaseProgress(NamedTuple):
    """One phase. `expected` leaves out essays that failed in an earlier phase: they never get here."""

    phase: str
    expected: int
    completed: int
    failed: int

    @property
    def is_over(self) -> bool:
        """Whether each essay that gets here has come through or failed."""
        return self.completed + self.failed >= self.expected


def phase_progress(
    tally: Tally, required: tuple[str, ...], status: BatchStatus, *, files: int, analysed: int
) -> tuple[PhaseProgress, ...]:
    """Return how far a batch is in the phases that it needs, none while it has no essays.

    `files` is the number of essays that have their file; what is processed has one, whether RAS heard of it or not.
    `analysed` is the number of essays whose language was analysed. It counts until the phase is reported: no result of
    that phase names the batch before.
    """
    left = tally.total
    if not left:
        return ()
    registered = files if status is BatchStatus.AWAITING_CONTENT_VALIDATION else left
    found = [PhaseProgress(REGISTRATION, left, registered, 0)]
    is_reported = LANGUAGE_ANALYSIS in required
    for phase in (
        required if is_reported or not analysed else in_pipeline_order((*required, LANGUAGE_ANALYSIS))
    ):
        completed, failed = tally.completed_in.get(phase, 0), tally.failed_in.get(phase, 0)
        if phase == LANGUAGE_ANALYSIS and not is_reported:
            completed = min(analysed, left)
        found.append(PhaseProgress(phase, max(left, completed + failed), completed, failed))
        left -= failed
    return tuple(found)


def phase_now(current: str | None, phases: tuple[PhaseProgress, ...]) -> str | None:
    """Return the phase in which a batch is: `current`, which clients know, or the one before it that is not over yet."""
    if current is None:
        return None
    return next((each.phase for each in phases if each.phase != REGISTRATION and not each.is_over), current)
