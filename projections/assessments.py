"""Read model of comparative-judgement jobs: results as published, every judge decision, the matrix of pairs.

The matrix is kept beside the decisions, not counted when asked. What a batch of events does to it is worked
out in the database, from the decisions stored before and those that take their place: the old one's share is
taken off, the new one's put on. So a callback that supersedes an earlier one (of the same request id) moves
the matrix right wherever the log is cut, and the same events once more change nothing. For that the matrix
is brought up to date *before* the decisions are: afterwards what was there is gone.

Every decision is in the matrix, one of a text against itself as the pair of the text with itself, so that
the matrix adds up to the decisions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Double,
    Executable,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from domain.assessment import job_id_of
from domain.assessment_events import (
    AssessmentResultRecorded,
    JudgeDecisionFailed,
    JudgeDecisionRecorded,
    Side,
)
from domain.immutable import fields_of
from projections.projection import Projection, Row, Statement, as_rows, given_rows, schema_of, upsert
from projections.recorded import Recorded

NAME: Final = "assessments"

metadata: Final = MetaData(schema=schema_of(NAME))
_Time: Final = DateTime(timezone=True)
_Name: Final = Text(collation="C")
"""Names are compared byte by byte: which text of a pair is item_a must not depend on the server's locale."""

jobs: Final = Table(
    "jobs",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("batch_id", Text),
    Column("position", BigInteger, nullable=False),
)
Index("jobs_of_batch", jobs.c.batch_id)

assessment_results: Final = Table(
    "assessment_results",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    Column("assignment_id", Text),
    Column("method", Text, nullable=False),
    Column("model_used", Text, nullable=False),
    Column("model_provider", Text, nullable=False),
    Column("model_version", Text),
    Column("results", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("assessed_at", _Time, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("event_id", Text),
    Column("position", BigInteger, nullable=False),
)

judge_decisions: Final = Table(
    "judge_decisions",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("batch_id", Text),
    Column("essay_a_id", _Name, nullable=False),
    Column("essay_b_id", _Name, nullable=False),
    Column("winner", Text),
    Column("judge", Text),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("justification", Text),
    Column("confidence", Double),
    Column("error_code", Text),
    Column("error", JSONB),
    Column("response_time_ms", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("total_tokens", BigInteger, nullable=False),
    Column("cost", Double, nullable=False),
    Column("requested_at", _Time, nullable=False),
    Column("completed_at", _Time, nullable=False),
    Column("request_metadata", JSONB, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("event_id", Text),
    Column("correlation_id", Text),
    Column("received_at", _Time, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("judge_decisions_in_order", judge_decisions.c.job_id, judge_decisions.c.position)

comparison_matrix: Final = Table(
    "comparison_matrix",
    metadata,
    Column("job_id", Text, primary_key=True),
    # A digest of the two names: three names of 255 letters outside ASCII do not fit into one index entry.
    Column("pair", LargeBinary, primary_key=True),
    Column("item_a", _Name, nullable=False),
    Column("item_b", _Name, nullable=False),
    Column("judged", Integer, nullable=False),
    Column("a_wins", Integer, nullable=False),
)
Index(
    "comparison_matrix_emptied", comparison_matrix.c.job_id, postgresql_where=comparison_matrix.c.judged == 0
)

_RESULT: Final = tuple(column.name for column in assessment_results.columns)
_DECISION: Final = tuple(column.name for column in judge_decisions.columns)
_JUDGED: Final = ("job_id", "request_id", "essay_a_id", "essay_b_id", "winner")
_PAIR: Final = ("job_id", "pair", "item_a", "item_b", "judged", "a_wins")


def _matrix_change() -> Executable:
    """Add to the matrix what the given decisions change in it. Run it before they are stored."""
    new = given_rows(judge_decisions, _JUDGED)
    old = judge_decisions
    replaced = old.join(new, (old.c.job_id == new.c.job_id) & (old.c.request_id == new.c.request_id))
    shares = union_all(_shares(new, new, 1), _shares(old, replaced, -1)).subquery("shares")
    judged, a_wins = func.sum(shares.c.judged), func.sum(shares.c.a_wins)
    job_id, item_a, item_b = shares.c.job_id, shares.c.item_a, shares.c.item_b
    names = func.octet_length(item_a).cast(Text) + ":" + item_a + item_b
    pair = func.sha256(func.convert_to(names, "UTF8"))
    changed = select(job_id, pair, item_a, item_b, judged, a_wins)
    changed = changed.group_by(job_id, item_a, item_b).having((judged != 0) | (a_wins != 0))
    statement = insert(comparison_matrix).from_select(list(_PAIR), changed)
    return statement.on_conflict_do_update(
        index_elements=["job_id", "pair"],
        set_={name: comparison_matrix.c[name] + statement.excluded[name] for name in ("judged", "a_wins")},
    )


def _shares(decision: FromClause, source: FromClause, sign: int) -> Any:
    """What each of the decisions in `source` puts on the matrix, or takes off with a negative `sign`."""
    one, other = decision.c.essay_a_id.collate("C"), decision.c.essay_b_id.collate("C")
    first_won: ColumnElement[bool] = decision.c.winner == Side.A
    low_won = case((one <= other, first_won), else_=~first_won)
    return (
        select(
            decision.c.job_id,
            func.least(one, other).label("item_a"),
            func.greatest(one, other).label("item_b"),
            literal(sign).label("judged"),
            # A text that met itself won as item_a, whichever side the judge named.
            case(((one == other) | low_won, sign), else_=0).label("a_wins"),
        )
        .select_from(source)
        .where(decision.c.winner.is_not(None))
    )


_touch = upsert(
    jobs,
    ("job_id", "batch_id", "position"),
    # A batch id once known is not lost to an event that names none.
    merge={"batch_id": lambda known, given: func.coalesce(given, known)},
)
_keep_results = upsert(assessment_results, _RESULT)
_move_matrix = _matrix_change()
_keep_decisions = upsert(judge_decisions, _DECISION)
_job_ids = bindparam("job_ids", type_=ARRAY(Text))
_clear_matrix = delete(comparison_matrix).where(
    (comparison_matrix.c.job_id == func.any(_job_ids)) & (comparison_matrix.c.judged == 0)
)


class _Changes:
    """The rows that a batch of events comes to: a later event of one job, or of one request, stands."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.results: dict[str, Row] = {}
        self.decisions: dict[tuple[str, str], Row] = {}

    def take(self, recorded: Recorded) -> None:
        """Fold one event in."""
        event = recorded.event
        job_id = job_id_of(event.originator_id)
        job = self.jobs.setdefault(job_id, {"job_id": job_id, "batch_id": None})
        job["position"] = recorded.notification_id
        job["batch_id"] = event.batch_id or job["batch_id"]
        cause = event.causation
        provenance = {
            "job_id": job_id,
            "topic": cause.topic,
            "partition": cause.partition,
            "offset": cause.offset,
            "event_id": cause.event_id,
            "position": recorded.notification_id,
        }
        if isinstance(event, AssessmentResultRecorded):
            self.results[job_id] = {**provenance, **_result_row(event)}
        else:
            self.decisions[job_id, event.request_id] = {**provenance, **_decision_row(event)}

    def statements(self) -> Iterator[Statement]:
        """Yield what brings the tables up to date; the matrix before the decisions (see above)."""
        if not self.jobs:
            return
        yield Statement(_touch, as_rows(self.jobs.values()))
        if self.results:
            yield Statement(_keep_results, as_rows(self.results.values()))
        if self.decisions:
            judged = [{name: row[name] for name in _JUDGED} for row in self.decisions.values()]
            yield Statement(_move_matrix, as_rows(judged))
            yield Statement(_keep_decisions, as_rows(self.decisions.values()))
            yield Statement(_clear_matrix, {"job_ids": sorted({job_id for job_id, _ in self.decisions})})


def _result_row(event: AssessmentResultRecorded) -> Row:
    return {
        "batch_id": event.batch_id,
        "assignment_id": event.assignment_id,
        "method": event.method,
        "model_used": event.model_used,
        "model_provider": event.model_provider,
        "model_version": event.model_version,
        "results": [fields_of(result) for result in event.results],
        "metadata": event.metadata,
        "assessed_at": event.happened_at,
    }


def _decision_row(event: JudgeDecisionRecorded | JudgeDecisionFailed) -> Row:
    row: dict[str, Any] = {
        "request_id": event.request_id,
        "batch_id": event.batch_id,
        "essay_a_id": event.essay_a_id,
        "essay_b_id": event.essay_b_id,
        "judge": event.judge,
        "provider": event.provider,
        "model": event.model,
        "response_time_ms": event.response_time_ms,
        "prompt_tokens": event.prompt_tokens,
        "completion_tokens": event.completion_tokens,
        "total_tokens": event.total_tokens,
        "cost": event.cost,
        "requested_at": event.requested_at,
        "completed_at": event.happened_at,
        "request_metadata": event.request_metadata,
        "correlation_id": event.causation.correlation_id,
        "received_at": event.causation.received_at,
    }
    if isinstance(event, JudgeDecisionRecorded):
        return row | {
            "winner": event.winner,
            "justification": event.justification,
            "confidence": event.confidence,
            "error_code": None,
            "error": None,
        }
    return row | {
        "winner": None,
        "justification": None,
        "confidence": None,
        "error_code": event.error_code,
        "error": event.error,
    }


assessments: Final = Projection(
    name=NAME,
    version=1,
    events=(JudgeDecisionRecorded, JudgeDecisionFailed, AssessmentResultRecorded),
    metadata=metadata,
    changes=_Changes,
)
