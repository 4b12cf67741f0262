"""Read model of batches, their essays, phases and rankings: what the query API answers from.

Facts are stored as they are. What follows from them for an essay, and the counts, the query asks of the domain's
functions. A batch's status, by which clients search, is stored: the domain's function over its few facts is a table, and
an update looks up what it says. Rows of a batch may come before its
registration: they are kept, and shown once the batch is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    case,
    column,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.aggregate import DomainEvent
from domain.batch import batch_id_of
from domain.batch_events import (
    AssessmentCompleted,
    AssessmentFailed,
    BatchRegistered,
    BatchResultsReady,
    EssaySlotAssigned,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    PhaseConcluded,
    PipelineCompleted,
)
from domain.batch_state import is_anchor
from domain.batch_status import batch_status
from domain.error_details import spellcheck_error
from domain.file_names import shown_name
from domain.immutable import fields_of
from domain.values import BatchStatus
from projections.projection import Projection, Row, Statement, as_rows, change, schema_of, upsert, upserts
from projections.recorded import Recorded

NAME: Final = "batch_results"

metadata: Final = MetaData(schema=schema_of(NAME))
_Time: Final = DateTime(timezone=True)

batches: Final = Table(
    "batches",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("user_id", Text),
    Column("class_id", Text),
    Column("org_id", Text),
    Column("course_code", Text),
    Column("student_prompt_ref", JSONB()),
    Column("registered_at", _Time),
    Column("assignment_id", Text),
    Column("assessment_job_id", Text),
    Column("assessment_failed", Boolean),
    Column("assessed_at", _Time),
    Column("named_phases", JSONB()),
    Column("overall_status", Text),
    Column("status", Text),
    Column("revision", Integer),
    Column("ended_at", _Time),
    Column("processing_started_at", _Time),
    Column("last_updated", _Time, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("batches_of_user", batches.c.user_id, batches.c.registered_at.desc(), batches.c.batch_id)
Index(
    "batches_of_organisation",
    batches.c.org_id,
    batches.c.registered_at.desc(),
    batches.c.batch_id,
    postgresql_where=batches.c.org_id.is_not(None),
)

essays: Final = Table(
    "essays",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("essay_id", Text, primary_key=True),
    Column("ordinal", Integer),
    Column("file_name", Text),
    Column("file_upload_id", Text),
    Column("text_storage_id", Text),
    Column("spellcheck_status", Text),
    Column("spellcheck_corrections", Integer),
    Column("spellcheck_corrected_text_id", Text),
    Column("spellcheck_metrics", JSONB()),
    Column("spellcheck_error", JSONB()),
    Column("spellchecked_at", _Time),
    Column("last_updated", _Time, nullable=False),
)
Index("essays_by_id", essays.c.essay_id)

phases: Final = Table(
    "phases",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("phase", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("processed_count", Integer, nullable=False),
    Column("failed_essay_ids", JSONB, nullable=False),
    Column("concluded_at", _Time, nullable=False),
)

rankings: Final = Table(
    "rankings",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("essay_id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("bt_score", Double, nullable=False),
    Column("normalized_score", Double, nullable=False),
    Column("letter_grade", Text, nullable=False),
    Column("confidence_score", Double, nullable=False),
    Column("confidence_label", Text, nullable=False),
    Column("display_name", Text),
    Column("feedback_uri", Text),
    Column("metrics_uri", Text),
    Column("assessed_at", _Time, nullable=False),
)

_RESULTS = (EssaySpellchecked, EssaySpellcheckFailed, PhaseConcluded, AssessmentCompleted, AssessmentFailed)

_TOUCHED: Final = ("batch_id", "processing_started_at", "last_updated", "position")
_REGISTRATION: Final = (
    "batch_id",
    "user_id",
    "class_id",
    "org_id",
    "course_code",
    "student_prompt_ref",
    "registered_at",
)
_ASSESSMENT: Final = (
    "batch_id",
    "assignment_id",
    "assessment_job_id",
    "assessment_failed",
    "assessed_at",
)
_PIPELINE: Final = ("batch_id", "named_phases")
_OUTCOME: Final = ("batch_id", "overall_status", "revision", "ended_at")
_PHASE: Final = tuple(map(str, phases.columns.keys()))
_RANKING: Final = tuple(map(str, rankings.columns.keys()))
_RANKED: Final = tuple(name for name in _RANKING if name not in ("batch_id", "job_id", "assessed_at"))

_touch = upsert(batches, _TOUCHED)
_register = change(batches, _REGISTRATION, keys=("batch_id",))
_batch_ids = bindparam("batch_ids", type_=ARRAY(Text))
_unexpect = update(essays).where(essays.c.batch_id == func.any(_batch_ids)).values(ordinal=None)
_conclude = upsert(phases, _PHASE)
_assess = change(batches, _ASSESSMENT, keys=("batch_id",))
_forget_rankings = delete(rankings).where(rankings.c.batch_id == func.any(_batch_ids))
_rank = upsert(rankings, _RANKING)
_complete = change(
    batches,
    _PIPELINE,
    keys=("batch_id",),
    merge={
        # Pipeline messages add up; the union of two objects has the members of both.
        "named_phases": lambda there, new: func.coalesce(there, literal_column("'{}'::jsonb")).op("||")(new),
    },
)
_announce = change(batches, _OUTCOME, keys=("batch_id",))

_outcomes: Final = (None, *(status for status in BatchStatus if status.ends_a_phase))
_statuses: Final = (
    values(
        column("outcome", Text),
        column("has_results", Boolean),
        column("has_all_files", Boolean),
        column("status", Text),
        literal_binds=True,
    )
    .data(
        [
            (
                outcome,
                has_results,
                has_all_files,
                batch_status(outcome, has_results=has_results, has_all_files=has_all_files),
            )
            for outcome in _outcomes
            for has_results in (False, True)
            for has_all_files in (False, True)
        ]
    )
    .alias("statuses")
)
"""What the domain says of each choice of facts."""

_expected = (essays.c.batch_id == batches.c.batch_id) & essays.c.ordinal.is_not(None)
_begun = batches.c.overall_status.is_not(None) | batches.c.processing_started_at.is_not(None)
_facts = (
    select(
        batches.c.batch_id,
        batches.c.overall_status.label("outcome"),
        batches.c.processing_started_at.is_not(None).label("has_results"),
        # The files are counted only as long as they matter, and only up to the first that is missing.
        case(
            (_begun, True),
            (exists().where(_expected & essays.c.file_upload_id.is_(None)), False),
            else_=exists().where(_expected),
        ).label("has_all_files"),
    )
    .where(batches.c.batch_id == func.any(_batch_ids))
    .offset(0)  # each fact is looked up once, not once for each row of the table
    .subquery("facts")
)
_restate = (
    update(batches)
    .where(
        batches.c.batch_id == _facts.c.batch_id,
        _facts.c.outcome.is_not_distinct_from(_statuses.c.outcome),
        _facts.c.has_results == _statuses.c.has_results,
        _facts.c.has_all_files == _statuses.c.has_all_files,
        batches.c.status.is_distinct_from(_statuses.c.status),
    )
    .values(status=_statuses.c.status)
)


class _Changes:
    """The rows that a batch of events comes to: later events of one thing replace earlier ones.

    An essay's row is made of parts, which different events bring. Its parts are put together here, because
    what a database does three times with a row costs three times as much.
    """

    def __init__(self) -> None:
        self.touched: dict[str, dict[str, Any]] = {}
        self.registered: dict[str, BatchRegistered] = {}
        self.expected: dict[str, set[str]] = {}
        self.essays: dict[tuple[str, str], dict[str, Any]] = {}
        self.phases: dict[tuple[str, str], Row] = {}
        self.assessments: dict[str, AssessmentCompleted | AssessmentFailed] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, Row] = {}

    def take(self, recorded: Recorded) -> None:
        """Fold one event in."""
        event: DomainEvent = recorded.event
        batch_id = batch_id_of(event.originator_id)
        self._touch(batch_id, recorded)
        match event:
            case EssaySpellchecked() | EssaySpellcheckFailed():
                self._essay(batch_id, event.essay_id, event.happened_at).update(_spellcheck_part(event))
            case EssaySlotAssigned():
                row = self._essay(batch_id, event.essay_id, event.happened_at)
                row["file_name"] = shown_name(event.original_file_name)
                row["file_upload_id"] = event.file_upload_id
                row["text_storage_id"] = event.text_storage_id
            case BatchRegistered():
                self._register(batch_id, event)
            case AssessmentCompleted() | AssessmentFailed():
                self.assessments[batch_id] = event
            case PhaseConcluded():
                self.phases[batch_id, event.phase] = {
                    "batch_id": batch_id,
                    "phase": event.phase,
                    "status": event.status,
                    "processed_count": event.processed_count,
                    "failed_essay_ids": event.failed_essay_ids,
                    "concluded_at": event.happened_at,
                }
            case PipelineCompleted():
                self._complete(batch_id, event)
            case BatchResultsReady():
                self.outcomes[batch_id] = {
                    "batch_id": batch_id,
                    "overall_status": event.overall_status,
                    "revision": event.revision,
                    "ended_at": event.happened_at,
                }

    def _register(self, batch_id: str, event: BatchRegistered) -> None:
        # Essays that only an earlier registration named keep their row, as they would across two batches
        # of events: what the tables hold must not depend on where the log was cut.
        self.registered[batch_id] = event
        expected = self.expected.setdefault(batch_id, set())
        for essay_id in expected:
            self.essays[batch_id, essay_id]["ordinal"] = None
        expected.update(event.essay_ids)
        for ordinal, essay_id in enumerate(event.essay_ids):
            self._essay(batch_id, essay_id, event.happened_at)["ordinal"] = ordinal

    def _complete(self, batch_id: str, event: PipelineCompleted) -> None:
        row = self.pipelines.setdefault(batch_id, {"batch_id": batch_id, "named_phases": {}})
        row["named_phases"].update(dict.fromkeys(event.completed_phases, True))

    def _essay(self, batch_id: str, essay_id: str, at: datetime) -> dict[str, Any]:
        """Return what is known of the essay's row, which something changed `at`."""
        row = self.essays.get((batch_id, essay_id))
        if row is None:
            row = {"batch_id": batch_id, "essay_id": essay_id, "last_updated": at}
            self.essays[batch_id, essay_id] = row
        elif at > row["last_updated"]:
            row["last_updated"] = at
        return row

    def _touch(self, batch_id: str, recorded: Recorded) -> None:
        at: datetime = recorded.event.happened_at
        started_at = at if isinstance(recorded.event, _RESULTS) else None
        row = self.touched.get(batch_id)
        if row is None:
            row = {"batch_id": batch_id, "processing_started_at": started_at, "last_updated": at}
            self.touched[batch_id] = row
        row["position"] = recorded.notification_id
        row["last_updated"] = max(row["last_updated"], at)
        begun = row["processing_started_at"]
        if started_at is not None and (begun is None or started_at < begun):
            row["processing_started_at"] = started_at

    def statements(self) -> Iterator[Statement]:
        """Yield what brings the tables up to date, parents first."""
        if not self.touched:
            return
        yield Statement(_touch, as_rows(self.touched.values()))
        if self.registered:
            yield Statement(_register, as_rows(map(_registration_row, self.registered.values())))
            yield Statement(_unexpect, {"batch_ids": list(self.registered)})
        yield from upserts(essays, self.essays.values())
        for statement, rows in (
            (_conclude, self.phases),
            (_complete, self.pipelines),
            (_announce, self.outcomes),
        ):
            if rows:
                yield Statement(statement, as_rows(rows.values()))
        if self.assessments:
            yield Statement(_assess, as_rows(map(_assessment_row, self.assessments.values())))
            yield Statement(_forget_rankings, {"batch_ids": list(self.assessments)})
            ranked = [row for event in self.assessments.values() for row in _ranking_rows(event)]
            if ranked:
                yield Statement(_rank, as_rows(ranked))
        yield Statement(_restate, {"batch_ids": list(self.touched)})


def _registration_row(event: BatchRegistered) -> Row:
    return {
        "batch_id": batch_id_of(event.originator_id),
        "user_id": event.user_id,
        "class_id": event.class_id,
        "org_id": event.org_id,
        "course_code": event.course_code,
        "student_prompt_ref": event.student_prompt_ref,
        "registered_at": event.happened_at,
    }


def _spellcheck_part(event: EssaySpellchecked | EssaySpellcheckFailed) -> Row:
    part: dict[str, Any] = {
        "spellcheck_corrections": event.corrections_made,
        "spellchecked_at": event.happened_at,
    }
    if isinstance(event, EssaySpellchecked):
        return part | {
            "spellcheck_status": "completed",
            "spellcheck_corrected_text_id": event.corrected_text_storage_id,
            "spellcheck_metrics": fields_of(event.metrics),
            "spellcheck_error": None,
        }
    return part | {
        "spellcheck_status": "failed",
        "spellcheck_corrected_text_id": None,
        "spellcheck_metrics": None,
        "spellcheck_error": spellcheck_error(event),
    }


def _assessment_row(event: AssessmentCompleted | AssessmentFailed) -> Row:
    return {
        "batch_id": batch_id_of(event.originator_id),
        "assignment_id": event.assignment_id,
        "assessment_job_id": event.job_id,
        "assessment_failed": isinstance(event, AssessmentFailed),
        "assessed_at": event.happened_at,
    }


def _ranking_rows(event: AssessmentCompleted | AssessmentFailed) -> Iterator[Row]:
    """Yield the students' lines; of two lines for one essay the last stands."""
    if isinstance(event, AssessmentFailed):
        return
    batch_id = batch_id_of(event.originator_id)
    students = {result.essay_id: result for result in event.results if not is_anchor(result)}
    for result in students.values():
        row = {name: getattr(result, name) for name in _RANKED}
        row["batch_id"] = batch_id
        row["job_id"] = event.job_id
        row["assessed_at"] = event.happened_at
        yield row


batch_results: Final = Projection(
    name=NAME,
    version=3,
    events=(
        BatchRegistered,
        EssaySlotAssigned,
        EssaySpellchecked,
        EssaySpellcheckFailed,
        PhaseConcluded,
        AssessmentCompleted,
        AssessmentFailed,
        PipelineCompleted,
        BatchResultsReady,
    ),
    metadata=metadata,
    changes=_Changes,
)
