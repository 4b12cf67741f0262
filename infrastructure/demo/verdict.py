"""Compares the output with the input. Pure: evidence in, disagreements out.

Three witnesses are heard against the expectations of the stream: what a consumer read from Kafka, what
the API answers, and what the event store counted. Nothing that the service itself computed is taken for
granted, except that the store's list of announcements must be exactly what was heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from domain.values import BatchStatus, Phase
from infrastructure.demo.announcements import (
    Announced,
    Message,
    ResultsReady,
    TeacherNotified,
    UnreadableRecordError,
    by_batch,
    read,
)
from infrastructure.demo.ledger import Ledger
from infrastructure.demo.observer import HeardRecord
from infrastructure.demo.questions import Answer
from infrastructure.demo.script import ExpectedBatch

_CLIENT_STATUS: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: "completed_successfully",
    BatchStatus.COMPLETED_WITH_FAILURES: "completed_with_failures",
    BatchStatus.FAILED_CRITICALLY: "failed",
}
"""What the API calls the outcomes that a stream leads to."""

_PROGRESS: Final = "batch_status_updated"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One thing that is not as it must be; `batch_id` is None where it concerns no single batch."""

    batch_id: str | None
    what: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything the verdict is based on.

    `sent` is the number of messages that Kafka took. `listings` and `inboxes` hold what the API says of
    some teachers' batches and notifications.
    """

    expected: Mapping[str, ExpectedBatch]
    sent: int
    heard: Sequence[HeardRecord]
    statuses: Mapping[str, Answer]
    listings: Mapping[str, Answer]
    inboxes: Mapping[str, Answer]
    ledger: Ledger


@dataclass
class Verdict:
    """The disagreements, and what was announced of each batch."""

    disagreements: list[Disagreement]
    announced: dict[str, Announced] = field(default_factory=dict)


def judge(evidence: Evidence) -> Verdict:
    """Compare everything with everything; an empty list of disagreements means that all agree."""
    messages: list[Message] = []
    found: list[Disagreement] = []
    for record in evidence.heard:
        try:
            messages.append(read(record))
        except UnreadableRecordError as error:
            found.append(Disagreement(None, str(error)))
    announced = by_batch(messages)
    found += _faults_by_batch(evidence, announced)
    found += (
        Disagreement(None, what)
        for what in (
            *_listing_faults(evidence.expected, evidence.listings),
            *_inbox_faults(messages, evidence.inboxes),
            *_intake_faults(evidence.sent, evidence.ledger),
            *_publishing_faults(messages, evidence.ledger),
        )
    )
    return Verdict(found, announced)


def _faults_by_batch(evidence: Evidence, announced: Mapping[str, Announced]) -> Iterator[Disagreement]:
    for batch_id in announced.keys() - evidence.expected.keys():
        yield Disagreement(batch_id, "something was announced of a batch that was never sent")
    for batch_id, expected in evidence.expected.items():
        said = announced.get(batch_id, Announced())
        answer = evidence.statuses.get(batch_id, "the API was not asked")
        for what in (
            *_ready_faults(expected, said),
            *_assessment_faults(expected, said),
            *_notification_faults(expected, said),
            *_progress_faults(expected, said),
            *_answer_faults(expected, said, answer),
        ):
            yield Disagreement(batch_id, what)


def _ready_faults(expected: ExpectedBatch, said: Announced) -> Iterator[str]:
    last = said.last_ready
    if last is None:
        yield "its results were never announced"
        return
    if expected.announced_once and len(said.ready) != 1:
        yield f"its results were announced {len(said.ready)} times, not once"
    in_order = [ready.overall_status for _, ready in sorted(said.ready, key=lambda each: each[0])]
    outcomes = [
        (ready.overall_status, set(ready.phase_results))
        for _, ready in sorted(said.ready, key=lambda each: each[0])
    ]
    if any(earlier == later for earlier, later in pairwise(outcomes)):
        yield f"the same outcome was announced twice in a row: {', '.join(in_order)}"
    if last.overall_status != expected.overall_status:
        yield f"the last announcement says {last.overall_status}, not {expected.overall_status}"
    yield from _count_faults(expected, last)
    if any(ready.user_id != expected.user_id for _, ready in said.ready):
        yield f"an announcement names another teacher than {expected.user_id}"


def _count_faults(expected: ExpectedBatch, last: ResultsReady) -> Iterator[str]:
    counts = (last.completed_essays, last.total_essays)
    if counts != (expected.completed, expected.total):
        yield (
            f"the announcement counts {counts[0]} of {counts[1]} essays as done, "
            f"not {expected.completed} of {expected.total}"
        )
    spellcheck = last.phase_results.get(Phase.SPELLCHECK)
    # What a phase that failed critically counts is not laid down anywhere.
    if expected.overall_status is BatchStatus.FAILED_CRITICALLY:
        return
    if spellcheck is None or spellcheck.failed_count != expected.failed:
        yield f"phase_results does not say that {expected.failed} essays failed their spellcheck"


def _assessment_faults(expected: ExpectedBatch, said: Announced) -> Iterator[str]:
    wanted = int(expected.assessment_announced)
    if len(said.assessed) != wanted:
        yield f"the assessment was announced {_times(len(said.assessed))}, not {_times(wanted)}"
    students = set(expected.essay_ids) - expected.failed_essay_ids
    for assessment in said.assessed:
        ranked = [line.essay_id for line in assessment.rankings_summary]
        if len(ranked) != expected.rankings or set(ranked) != students:
            yield f"{len(ranked)} essays are ranked, not the {expected.rankings} that came through"
        if assessment.user_id != expected.user_id:
            yield f"the assessment names teacher {assessment.user_id}, not {expected.user_id}"


def _notification_faults(expected: ExpectedBatch, said: Announced) -> Iterator[str]:
    """Each announcement has one notification that says the same, to the teacher who registered the batch."""
    for notification_type, priority, names, announced in (
        (
            "batch_results_ready",
            "high",
            ("overall_status", "completed_essays", "total_essays"),
            [(r.overall_status.value, r.completed_essays, r.total_essays) for _, r in said.ready],
        ),
        (
            "batch_assessment_completed",
            "standard",
            ("rankings_available", "rankings_count"),
            [(True, len(assessment.rankings_summary)) for assessment in said.assessed],
        ),
    ):
        notified = [each for each in said.notified if each.notification_type == notification_type]
        if len(notified) != len(announced):
            yield f"{notification_type} was notified {_times(len(notified))}, announced {_times(len(announced))}"
        elif Counter(tuple(map(each.payload.get, names)) for each in notified) != Counter(announced):
            yield f"the payload of {notification_type} does not say what was announced"
        for each in notified:
            if (each.teacher_id, each.priority) != (expected.user_id, priority):
                yield (
                    f"{notification_type} went to {each.teacher_id} with priority {each.priority}, "
                    f"not to {expected.user_id} with priority {priority}"
                )


def _progress_faults(expected: ExpectedBatch, said: Announced) -> Iterator[str]:
    """The last step that was told is the end, and no step goes back behind an outcome."""
    steps = [each for each in said.notified if each.notification_type == _PROGRESS]
    if not steps:
        yield "its teacher was never told how it stands"
        return
    revisions = [int(step.payload.get("revision", -1)) for step in steps]
    if revisions != sorted(revisions) or revisions[-1] != max(
        (number for number, _ in said.ready), default=0
    ):
        yield f"its progress was told with the revisions {revisions}"
    last = steps[-1].payload
    told = tuple(map(last.get, ("status", "completed_essays", "failed_essays", "total_essays")))
    wanted = (
        _CLIENT_STATUS[expected.overall_status],
        expected.completed,
        expected.failed,
        expected.total,
    )
    if told != wanted:
        yield f"its progress ended with {told}, not {wanted}"
    for step in steps:
        if (step.teacher_id, step.priority, step.category) != (
            expected.user_id,
            "standard",
            "batch_progress",
        ):
            yield f"{_PROGRESS} went to {step.teacher_id} as {step.category}, {step.priority}"


def _answer_faults(expected: ExpectedBatch, said: Announced, answer: Answer) -> Iterator[str]:
    if isinstance(answer, str):
        yield answer
        return
    for name, wanted in (
        ("batch_id", expected.batch_id),
        ("user_id", expected.user_id),
        ("overall_status", _CLIENT_STATUS[expected.overall_status]),
        ("essay_count", expected.total),
        ("completed_essay_count", expected.completed),
        ("failed_essay_count", expected.failed),
    ):
        if answer.get(name) != wanted:
            yield f"the API says {name} is {answer.get(name)!r}, not {wanted!r}"
    essays: list[dict[str, Any]] = answer.get("essays") or []
    if Counter(essay["essay_id"] for essay in essays) != Counter(expected.essay_ids):
        yield f"the API lists {len(essays)} essays that are not the {expected.total} registered"
    failed = {essay["essay_id"] for essay in essays if essay.get("spellcheck_status") == "failed"}
    if failed != expected.failed_essay_ids:
        yield f"the API shows {len(failed)} failed spellchecks, not the {expected.failed} that were sent"
    shown = {
        (essay["essay_id"], essay["cj_rank"], essay["cj_score"])
        for essay in essays
        if essay.get("cj_rank") is not None
    }
    told = {
        (line.essay_id, line.rank, line.score) for each in said.assessed for line in each.rankings_summary
    }
    if shown != told:
        yield f"{len(shown ^ told)} ranks or scores differ between the API and Kafka"


def _listing_faults(expected: Mapping[str, ExpectedBatch], listings: Mapping[str, Answer]) -> Iterator[str]:
    for user_id, answer in listings.items():
        if isinstance(answer, str):
            yield answer
            continue
        own = {batch_id for batch_id, batch in expected.items() if batch.user_id == user_id}
        listed = [batch["batch_id"] for batch in answer.get("batches", [])]
        if len(listed) != len(own) or set(listed) != own:
            yield f"the API lists {len(listed)} batches of {user_id}, not the {len(own)} that were sent"
        if (total := answer.get("pagination", {}).get("total")) != len(own):
            yield f"the API counts {total} batches of {user_id}, not {len(own)}"


def _inbox_faults(messages: Sequence[Message], inboxes: Mapping[str, Answer]) -> Iterator[str]:
    for teacher_id, answer in inboxes.items():
        if isinstance(answer, str):
            yield answer
            continue
        shown = {notification["notification_id"] for notification in answer.get("notifications", [])}
        sent = {
            str(message.event_id)
            for message in messages
            if isinstance(message.data, TeacherNotified)
            and message.data.teacher_id == teacher_id
            and message.data.notification_type != _PROGRESS
        }
        if shown != sent:
            yield f"{len(shown ^ sent)} notifications differ between Kafka and the inbox of {teacher_id}"


def _intake_faults(sent: int, ledger: Ledger) -> Iterator[str]:
    intake = ledger.intake
    if intake.taken_in != sent:
        yield f"{sent} messages were sent, but {intake.taken_in} were ingested"
    if intake.recorded + intake.repeated + intake.dead_lettered + intake.parked != intake.taken_in:
        yield f"what became of the {intake.taken_in} messages ingested does not add up: {intake}"
    if intake.dead_lettered or intake.parked:
        yield f"{intake.dead_lettered} good messages became dead letters and {intake.parked} were parked"


def _publishing_faults(messages: Sequence[Message], ledger: Ledger) -> Iterator[str]:
    heard = Counter(message.event_id for message in messages)
    for event_id, times in heard.items():
        if times > 1:
            yield f"event {event_id} came {times} times"
    for event_id in ledger.due.keys() - heard.keys():
        yield f"event {event_id} is in the store but was never published"
    for event_id in heard.keys() - ledger.due.keys():
        yield f"event {event_id} was published but is not in the store"


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")
