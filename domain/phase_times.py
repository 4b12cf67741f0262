"""How long the phases of a batch took, from the facts' own times.

Spellcheck: from the start of the first essay's check to the end of the last. Comparative judgement: what the
newest assessment result reports of itself. A phase of which only the outcome is known: from the end of the
spellcheck to the outcome, where both are of one run. None of it needs the time of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final

_REPORTED: Final = "processing_duration_seconds"


def spellcheck_seconds(checks: Iterable[tuple[datetime, int | None]]) -> float | None:
    """Return the seconds between the first start and the last end of `checks`.

    Each check has the time of its end and its duration in milliseconds, None for one that failed: a failure
    does not report how long it took. Returns None where no start is known.
    """
    ended = list(checks)
    starts = [at - timedelta(milliseconds=ms) for at, ms in ended if ms is not None]
    if not starts:
        return None
    return (max(at for at, _ in ended) - min(starts)).total_seconds()


def judging_seconds(metadata: Mapping[str, Any]) -> float | None:
    """Return the seconds that a judging job reports in its metadata, None if it reports none."""
    seconds = metadata.get(_REPORTED)
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not isfinite(seconds)
        or seconds < 0
    ):
        return None
    return float(seconds)


def seconds_between(started_at: datetime | None, ended_at: datetime) -> float | None:
    """Return the seconds from one to the other, None where the start is unknown or later."""
    if started_at is None or started_at > ended_at:
        return None
    return (ended_at - started_at).total_seconds()
