"""The projections of RAS. The follower of a new one fills it from the start of the log."""

from __future__ import annotations

from typing import Final

from projections.assessments import assessments
from projections.batch_results import batch_results
from projections.dead_letters import dead_letters
from projections.language_analyses import language_analyses
from projections.projection import Projection
from projections.teacher_inbox import teacher_inbox

PROJECTIONS: Final[tuple[Projection, ...]] = (
    batch_results,
    teacher_inbox,
    dead_letters,
    assessments,
    language_analyses,
)
