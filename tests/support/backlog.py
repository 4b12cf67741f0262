"""A backlog of batches with trouble, and what an uninterrupted run announces of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from application.translated_messages import TranslatedMessage
from domain.aggregate import DomainEvent
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.parking import ParkableStream
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from tests.support.deciding import decide
from tests.support.ingesting import intakes_of

Announced = dict[str, list[tuple[Any, ...]]]
"""What was announced, by stream, in order."""


def backlog(seed: int, batches: int) -> list[UpstreamMessage]:
    """Return the last hour's messages in the order of their times.

    Each batch has essays that fail for good, that fail first and pass later, or a whole class that fails.
    """
    start = datetime.now(UTC) - timedelta(hours=1)
    scenario = stream(
        seed, batches, class_sizes=(8, 24, 30), failure_share=1.0, disorder=0, repeats=0, start=start
    )
    return sorted(scenario, key=lambda message: message.sent_at)


def times_ms(messages: Iterable[UpstreamMessage]) -> list[int]:
    """Return when each was sent, as Kafka notes it."""
    return [int(message.sent_at.timestamp() * 1000) for message in messages]


def announcements_of_an_uninterrupted_run(messages: Sequence[UpstreamMessage]) -> Announced:
    """Return what is announced when the messages are ingested one by one, in their order."""
    aggregates: dict[str, ParkableStream] = {}
    events: list[DomainEvent] = []
    for intake in intakes_of(messages):
        assert isinstance(intake.outcome, TranslatedMessage)
        events += decide(intake.outcome, aggregates)
    return announcements_in(events)


def announcements_in(events: Iterable[DomainEvent]) -> Announced:
    """Return the announcements among recorded events, without their origins and times."""
    announced: Announced = defaultdict(list)
    for event in events:
        if isinstance(event, BatchResultsReady):
            content: tuple[Any, ...] = (
                event.revision,
                event.overall_status,
                event.completed_essays,
                event.failed_essays,
                event.phase_results,
                event.job_id,
            )
        elif isinstance(event, BatchAssessmentCompleted):
            content = (event.job_id, event.rankings)
        else:
            continue
        announced[event.originator_id].append(content)
    return announced


def wrong_announcements(wanted: Announced, found: Announced) -> dict[str, int]:
    """Return for each batch how many announcements are missing, too many, or other than wanted at their place."""
    wrong = {
        batch: sum(one != other for one, other in zip_longest(wanted.get(batch, ()), found.get(batch, ())))
        for batch in wanted.keys() | found.keys()
    }
    return {batch: count for batch, count in wrong.items() if count}
