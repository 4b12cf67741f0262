"""The course of one batch, drawn before any message is written, and what RAS must make of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final
from uuid import UUID

from domain.values import BatchStatus

START: Final = datetime(2026, 3, 7, 8, tzinfo=UTC)
"""When the first batch starts unless a caller says otherwise."""

_COURSE_CODES: Final = ("ENG5", "ENG6", "ENG7", "SV1", "SV2", "SV3")
_MOST_ANCHORS: Final = 4


def seeded(*parts: object) -> Random:
    """Return the source of chance that belongs to `parts`: the same in each process and Python version."""
    return Random(":".join(map(str, parts)))  # noqa: S311 - traffic that must repeat, nothing secret


def draw_uuid(dice: Random) -> str:
    """Return a random (version 4) UUID as text."""
    return str(UUID(int=dice.getrandbits(128), version=4))


def draw_storage_id(dice: Random) -> str:
    """Return an identifier in the form of upstream's content store: 32 hexadecimal digits."""
    return f"{dice.getrandbits(128):032x}"


def first_job(seed: int) -> int:
    """Return the number of a stream's first comparative-judgement job: the jobs of two seeds stay apart."""
    return seeded(seed, "jobs").randrange(1, 100_000) * 10_000


@dataclass(frozen=True, slots=True)
class ExpectedBatch:
    """What must hold of a batch once all its messages are in, in whichever order they came.

    `completed` and `failed` count essays over all required phases; they add up to `total`. `rankings`
    counts the students in the one announced ranking, 0 where none is announced. Where
    `announced_once` is false a result was superseded: an outcome that it led to may have been
    announced on the way, and only the last announcement is sure to be `overall_status`.
    """

    batch_id: str
    user_id: str
    essay_ids: tuple[str, ...]
    failed_essay_ids: frozenset[str]
    overall_status: BatchStatus
    rankings: int
    announced_once: bool

    @property
    def total(self) -> int:
        """How many essays are expected."""
        return len(self.essay_ids)

    @property
    def failed(self) -> int:
        """How many essays failed a required phase."""
        return len(self.failed_essay_ids)

    @property
    def completed(self) -> int:
        """How many essays came through every required phase."""
        return self.total - self.failed

    @property
    def assessment_announced(self) -> bool:
        """Whether a ranking is announced (once)."""
        return self.rankings > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchScript:
    """The course of one batch. `seed` settles what is left to chance in the text of its messages.

    Essays in `failed_essay_ids` fail their spellcheck for good; those in `rechecked_essay_ids` fail it
    first and pass it later. `assessed` tells a full pipeline from one that ends after spellcheck; where it
    is `judged` too, every judge's answer is in the stream and not their result alone. `analysed`: the language of
    each essay that comes through spellcheck is analysed.
    """

    seed: str
    starts_at: datetime
    batch_id: str
    correlation_id: str
    user_id: str
    class_id: str | None
    course_code: str
    prompt_storage_id: str | None
    essay_ids: tuple[str, ...]
    failed_essay_ids: frozenset[str]
    rechecked_essay_ids: frozenset[str]
    assessed: bool
    job_id: str
    assignment_id: str | None
    anchors: int
    judged: bool = False
    analysed: bool = False

    @property
    def all_failed(self) -> bool:
        """Whether no essay comes through spellcheck: a phase that upstream calls critically failed."""
        return len(self.failed_essay_ids) == len(self.essay_ids)

    @property
    def surviving_essay_ids(self) -> tuple[str, ...]:
        """The essays that come through spellcheck, in the teacher's order."""
        return tuple(e for e in self.essay_ids if e not in self.failed_essay_ids)

    @property
    def expected(self) -> ExpectedBatch:
        """What RAS must make of this batch."""
        if self.all_failed:
            status = BatchStatus.FAILED_CRITICALLY
        elif self.failed_essay_ids:
            status = BatchStatus.COMPLETED_WITH_FAILURES
        else:
            status = BatchStatus.COMPLETED_SUCCESSFULLY
        return ExpectedBatch(
            batch_id=self.batch_id,
            user_id=self.user_id,
            essay_ids=self.essay_ids,
            failed_essay_ids=self.failed_essay_ids,
            overall_status=status,
            rankings=len(self.surviving_essay_ids) if self.assessed else 0,
            announced_once=not self.rechecked_essay_ids,
        )


def draw_script(
    seed: str,
    *,
    starts_at: datetime,
    user_id: str,
    job_id: str,
    essays: int,
    failed: int = 0,
    rechecked: int = 0,
    assessed: bool = True,
) -> BatchScript:
    """Draw a batch of `essays` essays of which `failed` and `rechecked` (others) have trouble.

    `job_id` is the number of the comparative-judgement job, as text; it must be the batch's own.
    Raises ValueError when the counts are not those of a batch.
    """
    if essays < 1 or failed < 0 or rechecked < 0 or failed + rechecked > essays:
        raise ValueError(f"a batch of {essays} essays cannot have {failed} failed and {rechecked} rechecked")
    dice = seeded(seed)
    essay_ids = tuple(draw_uuid(dice) for _ in range(essays))
    troubled = dice.sample(essay_ids, failed + rechecked)
    return BatchScript(
        seed=seed,
        starts_at=starts_at,
        batch_id=draw_uuid(dice),
        correlation_id=draw_uuid(dice),
        user_id=user_id,
        class_id=f"class-{dice.randint(1, 40):03d}" if dice.random() < 0.6 else None,
        course_code=dice.choice(_COURSE_CODES),
        prompt_storage_id=draw_storage_id(dice) if dice.random() < 0.5 else None,
        essay_ids=essay_ids,
        failed_essay_ids=frozenset(troubled[:failed]),
        rechecked_essay_ids=frozenset(troubled[failed:]),
        assessed=assessed and failed < essays,
        job_id=job_id,
        assignment_id=f"assignment-{dice.randint(1, 99):03d}" if dice.random() < 0.5 else None,
        anchors=dice.randint(0, _MOST_ANCHORS),
    )
