"""The language analysis of an essay: what upstream measured in its text, and the errors of grammar that it found.

Upstream's message names the essay and the text, and no batch. So an essay has a stream of its own, and which batch
shows what is decided where it is read. Of one text the analysis of the newest time stands; at the same time the
first stands. A message without a time of its own has that of its envelope, which is another one each time upstream
sends it: such a message is known by its content.

The aggregate keeps a time and a digest for each text. The analyses themselves are large: they are in the events, and
are never held here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, ClassVar, Final, NamedTuple

from pydantic_core import to_json

from domain.aggregate import DomainEvent
from domain.batch_events import MessageDrained, MessageParked
from domain.immutable import immutable
from domain.parking import ParkableStream
from domain.values import Causation, Details

ANALYSIS_STREAMS: Final = "analysis-"
"""How the ids of these streams begin."""

SPELLING_CATEGORY: Final = "TYPOS"
"""LanguageTool's category of words that are spelt wrongly."""

MOST_SPELLING_ERRORS: Final = 100
"""How many of them are listed apart; all are among the errors."""

_DIGEST_BYTES: Final = 16


def analysis_stream_id(essay_id: str) -> str:
    """Return the id of the stream in which the analyses of an essay are recorded."""
    return ANALYSIS_STREAMS + essay_id


def essay_id_of(stream_id: str) -> str:
    """Return the essay whose stream `stream_id` is."""
    return stream_id.removeprefix(ANALYSIS_STREAMS)


@immutable(kw_only=True, slots=False)
class LanguageAnalysisRecorded(DomainEvent):
    """The language of a text was analysed.

    `metrics`, `grammar` (counts, language) and each of `errors` have the members of upstream's contract.
    """

    topic: ClassVar = "ras.analysis.language-analysis-recorded.v1"

    text_storage_id: str
    metrics: Details
    grammar: Details
    errors: tuple[Details, ...]


class Analysis(NamedTuple):
    """Which analysis of a text stands."""

    at: datetime
    digest: bytes


class LanguageAnalysisAggregate(ParkableStream):
    """The analyses of one essay."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self._standing: dict[str, Analysis] = {}
        self._parked_messages = 0

    @property
    def is_parked(self) -> bool:
        """Whether messages wait here for a fix of our own code."""
        return self._parked_messages > 0

    @property
    def size(self) -> int:
        """Of how many texts something is held in memory."""
        return len(self._standing)

    def record(
        self,
        *,
        text_storage_id: str,
        metrics: Details,
        grammar: Details,
        errors: tuple[Details, ...],
        is_dated: bool,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take the analysis of a text. `is_dated` tells whether `happened_at` is the message's own time."""
        standing = self._standing.get(text_storage_id)
        if standing is not None and happened_at <= standing.at:
            return
        if standing is not None and not is_dated and _digest(metrics, grammar, errors) == standing.digest:
            return
        self.trigger_event(
            LanguageAnalysisRecorded,
            text_storage_id=text_storage_id,
            metrics=metrics,
            grammar=grammar,
            errors=errors,
            happened_at=happened_at,
            causation=causation,
        )

    def _evolve(self, event: DomainEvent) -> None:
        match event:
            case LanguageAnalysisRecorded():
                digest = _digest(event.metrics, event.grammar, event.errors)
                self._standing[event.text_storage_id] = Analysis(event.happened_at, digest)
            case MessageParked():
                self._parked_messages += 1
            case MessageDrained():
                self._parked_messages -= 1
            case _:
                raise TypeError(f"{event.topic} is not an event of a language analysis")


def counts_by_category(grammar: Details, errors: Iterable[Details]) -> Mapping[str, int]:
    """Return how many errors each category has: as upstream counted them, or counted here where it did not."""
    counts: Mapping[str, int] | None = grammar["grammar_category_counts"]
    return Counter(error["category_id"] for error in errors) if counts is None else counts


def spelling_errors(errors: Iterable[Details]) -> list[dict[str, Any]]:
    """Return the words that are spelt wrongly, at most MOST_SPELLING_ERRORS, under the names of upstream's client."""
    found = [error for error in errors if error["category_id"] == SPELLING_CATEGORY]
    return [
        {
            "word": error["context"][error["context_offset"] :][: error["length"]],
            "suggestions": error["replacements"],
            "error_type": error["category"],
            "context": error["context"],
        }
        for error in found[:MOST_SPELLING_ERRORS]
    ]


def _digest(metrics: Details, grammar: Details, errors: Iterable[Details]) -> bytes:
    # Sorted, because a sender may write the members of an object in any order.
    content = [*(sorted(part.items()) for part in (metrics, grammar, *errors))]
    return blake2b(to_json(content, inf_nan_mode="null"), digest_size=_DIGEST_BYTES).digest()
