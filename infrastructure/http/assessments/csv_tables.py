"""The responses as CSV, made from the same JSON, so that the numbers are the same.

RFC 4180, UTF-8, a header line; nothing is an empty cell, truth is `true` and `false`. Cells that a spreadsheet
would take for formulas are guarded (`infrastructure.spreadsheet_csv`) unless a raw table is asked for, which programs
read: a guarded name is another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson

from application.judging_scales import BOUNDARY_COLUMNS, SCALED_COLUMNS
from infrastructure.spreadsheet_csv import CsvForm, csv_bytes


class Table(StrEnum):
    """The tables of a job."""

    ITEMS = "items"
    DECISIONS = "decisions"
    MATRIX = "matrix"
    JUDGES = "judges"
    SCALED = "scaled"
    BOUNDARIES = "boundaries"


Cells = Iterable[Any]

_SCORE: Final = ("theta", "se", "lower", "upper")
_PUBLISHED: Final = (
    "rank",
    "bt_score",
    "normalized_score",
    "letter_grade",
    "confidence_score",
    "confidence_label",
)
_ITEM: Final = (
    *("item", "is_anchor", "component", "rank", *_SCORE),
    *("infit", "outfit", "comparisons", "wins", "flagged"),
    *("se_full", "best_rank", "worst_rank", "theta_firth"),
)
_DECISION: Final = (
    *("outcome", "request_id", "essay_a_id", "essay_b_id", "winner", "provider", "model", "confidence"),
    *(
        "justification",
        "error_code",
        "response_time_ms",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
    ),
    *("cost_usd", "requested_at", "completed_at"),
)
_SOURCE: Final = ("position", "topic", "partition", "offset", "event_id", "correlation_id", "received_at")
_JUDGE: Final = (
    *("judge", "decisions", "failures", "infit", "outfit", "flagged"),
    *("mean_confidence", "mean_response_time_ms"),
)
_COST: Final = ("usd", "prompt_tokens", "completion_tokens", "total_tokens")
_RATE: Final = ("shared_pairs", "agreements", "rate", "kappa")
_JOB: Final = ("job_id", "state", "method", "model", "provider", "model_version", "assessed_at")
_RANKING: Final = (
    *("item", "is_anchor", "component", "rank", *_SCORE),
    *("comparisons", "wins", "published_rank", "letter_grade"),
)


def table_of(table: Table, content: bytes, form: CsvForm) -> bytes:
    """Return one table of a job from its JSON: the detailed answer, or a page of decisions for those."""
    header, rows = _MAKERS[table]
    return csv_bytes(header, rows(orjson.loads(content)), form)


def summary_table(content: bytes, form: CsvForm) -> bytes:
    """Return a batch's summary with a line per job and text; a job without texts has one line."""
    header = ("batch_id", *_JOB, "ssr", "separation_g", *_RANKING)
    return csv_bytes(header, _summary(orjson.loads(content)), form)


def _items(body: Mapping[str, Any]) -> Iterator[Cells]:
    for item in body["items"]:
        yield [*_picked(item, _ITEM), *_picked(item["published"] or {}, _PUBLISHED)]


def _decisions(body: Mapping[str, Any]) -> Iterator[Cells]:
    for each in body["decisions"]:
        sides = (each["essay_a_id"], each["essay_b_id"])
        # The first four columns are what `ras bradley-terry` reads.
        chosen = {"essay_a": sides, "essay_b": sides[::-1]}.get(each["winner"], (None, None))
        shown_first = each["essay_a_id"] if each["winner"] else None
        yield [
            *(each["judge"], *chosen, shown_first),
            *(*_picked(each, _DECISION), *_picked(each["provenance"], _SOURCE)),
        ]


def _matrix(body: Mapping[str, Any]) -> Iterator[Cells]:
    names = body["matrix"]["items"]
    for a, b, judged, a_wins in body["matrix"]["pairs"]:
        yield [names[a], names[b], judged, a_wins, judged - a_wins]


def _judges(body: Mapping[str, Any]) -> Iterator[Cells]:
    rates = {each["judge"]: each for each in (body["agreement"] or {"judges": ()})["judges"]}
    for judge in body["judges"]:
        rate = rates.get(judge["judge"], {})
        yield [*_picked(judge, _JUDGE), *_picked(judge["costs"], _COST), *_picked(rate, _RATE)]


def _scaled(body: Mapping[str, Any]) -> Iterator[Cells]:
    for item in (body["scaled"] or {"items": ()})["items"]:
        yield _picked(item, SCALED_COLUMNS)


def _boundaries(body: Mapping[str, Any]) -> Iterator[Cells]:
    for line in (body["scaled"] or {"boundaries": ()})["boundaries"]:
        yield _picked(line, BOUNDARY_COLUMNS)


def _summary(body: Mapping[str, Any]) -> Iterator[Cells]:
    for job in body["jobs"]:
        reliability = _picked(job["reliability"], ("ssr", "separation_g"))
        shared = [body["batch_id"], *_picked(job, _JOB), *reliability]
        ranking: Sequence[Mapping[str, Any]] = job["ranking"] or ({},)
        for line in ranking:
            yield [*shared, *_picked(line, _RANKING)]


_MAKERS: Final = {
    Table.ITEMS: ((*_ITEM, *(f"published_{name}" for name in _PUBLISHED)), _items),
    Table.DECISIONS: (("judge", "chosen", "not_chosen", "shown_first", *_DECISION, *_SOURCE), _decisions),
    Table.MATRIX: (("item_a", "item_b", "judged", "a_wins", "b_wins"), _matrix),
    Table.JUDGES: (
        (*_JUDGE, *(f"cost_{name}" if name == "usd" else name for name in _COST), *_RATE),
        _judges,
    ),
    Table.SCALED: (SCALED_COLUMNS, _scaled),
    Table.BOUNDARIES: (BOUNDARY_COLUMNS, _boundaries),
}


def _picked(row: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    return [row.get(name) for name in names]
