"""How far a batch is, for its teacher's list: what has changed since before a fact, and how the batch stands now.

A batch moves on when it is registered and ready for processing, when a phase begins to show results, when a phase ends,
and when its outcome is announced. Whether a fact moved it on is a comparison of the state before the fact with the state
after it. So nothing has to be remembered of what was told before: facts that an older release recorded, or that were
recorded while progress was switched off, are never told afterwards.

Spellcheck begins with its first result and ends with its last. Of every other phase all results come at once, with the
assessment or the phase outcome, so its beginning and its end are one moment.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from domain.batch_state import BatchState
from domain.batch_status import batch_status, current_phase, failed_essays


class Progress(NamedTuple):
    """What of a batch has happened that its teacher is told of. `ended` names the phases that are over."""

    is_ready: bool
    has_spellchecks: bool
    is_spellchecked: bool
    ended: frozenset[str]
    revision: int

    def goes_beyond(self, before: Progress) -> bool:
        """Whether anything has happened here that had not happened `before`."""
        return self != before and (
            self.revision > before.revision
            or self.is_ready > before.is_ready
            or self.has_spellchecks > before.has_spellchecks
            or self.is_spellchecked > before.is_spellchecked
            or not self.ended <= before.ended
        )


_NOTHING: Final = Progress(
    is_ready=False, has_spellchecks=False, is_spellchecked=False, ended=frozenset(), revision=0
)


def progress_of(state: BatchState) -> Progress:
    """Return how far the batch is; nowhere while its teacher is unknown."""
    if state.registration is None:
        return _NOTHING
    total, spellchecked = state.tally.total, state.spellchecked_essays
    return Progress(
        is_ready=0 < total <= state.files and not state.has_results and state.announced is None,
        has_spellchecks=spellchecked > 0,
        is_spellchecked=0 < total <= spellchecked,
        ended=state.ended,
        revision=state.revision,
    )


def standing_now(state: BatchState) -> dict[str, Any]:
    """Return the fields of a BatchProgressed that tell how a registered batch stands. The status is the API's."""
    registration = state.registration
    assert registration is not None, "a batch without a teacher makes no progress"
    total, completed, failed = state.tally.counts
    status = batch_status(
        state.announced.status if state.announced else None,
        has_results=state.has_results,
        has_all_files=0 < total <= state.files,
    )
    return {
        "user_id": registration.user_id,
        "class_id": registration.class_id,
        "revision": state.revision,
        "status": status,
        "processing_phase": current_phase(
            status,
            state.requirements.phases,
            total=total,
            spellchecked=state.spellchecked_essays,
            is_assessed=state.assessment is not None,
        ),
        "total_essays": total,
        "completed_essays": completed,
        "failed_essays": failed_essays(status, total=total, completed=completed, failed=failed),
        "completed_at": state.announced_at,
    }
