"""Read model of language analyses: for each text of an essay the analysis that stands.

The message names no batch, so the rows do not either: the query joins them by essay. A row is in parts, because most
readers want the figures and the counts, and the list of errors is large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from domain.language_analysis import (
    LanguageAnalysisRecorded,
    counts_by_category,
    essay_id_of,
    spelling_errors,
)
from projections.projection import Projection, Row, Statement, as_rows, schema_of, upsert
from projections.recorded import Recorded

NAME: Final = "language_analyses"

metadata: Final = MetaData(schema=schema_of(NAME))

analyses: Final = Table(
    "analyses",
    metadata,
    # Two names of 255 characters of any script fit into an entry of the index.
    Column("essay_id", Text, primary_key=True),
    Column("text_storage_id", Text, primary_key=True),
    Column("analysed_at", DateTime(timezone=True), nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("grammar", JSONB, nullable=False),
    Column("spelling_errors", JSONB, nullable=False),
    Column("errors", JSONB, nullable=False),
    Column("position", BigInteger, nullable=False),
)

_keep = upsert(analyses, tuple(map(str, analyses.columns.keys())))


class _Changes:
    """The rows that a batch of events comes to: a later event of one text stands."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    def take(self, recorded: Recorded) -> None:
        """Fold one event in."""
        event: LanguageAnalysisRecorded = recorded.event
        essay_id = essay_id_of(event.originator_id)
        self._rows[essay_id, event.text_storage_id] = {
            "essay_id": essay_id,
            "text_storage_id": event.text_storage_id,
            "analysed_at": event.happened_at,
            "metrics": event.metrics,
            "grammar": {
                **event.grammar,
                "grammar_category_counts": counts_by_category(event.grammar, event.errors),
            },
            "spelling_errors": spelling_errors(event.errors),
            "errors": event.errors,
            "position": recorded.notification_id,
        }

    def statements(self) -> Iterator[Statement]:
        """Yield what brings the table up to date."""
        if self._rows:
            yield Statement(_keep, as_rows(self._rows.values()))


language_analyses: Final = Projection(
    name=NAME,
    version=1,
    events=(LanguageAnalysisRecorded,),
    metadata=metadata,
    changes=_Changes,
)
