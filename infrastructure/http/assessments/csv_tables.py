"""The answers as CSV: the same numbers, because a table is made from the JSON that is sent otherwise.

RFC 4180, UTF-8, a header line; nothing is an empty cell, truth is `true` and `false`. Names and texts are
data and stand there as they are: a cell that a spreadsheet would take for a formula (it begins with =, +, -
or @) is not changed, or the table would name texts that do not exist. `docs/comparative-judgement.md` says
how to open such a file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson


class Table(StrEnum):
    """The tables of a job."""

    ITEMS = "items"
    DECISIONS = "decisions"
    MATRIX = "matrix"
    JUDGES = "judges"


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


def table_of(table: Table, content: bytes) -> bytes:
    """Return one table of a job from its JSON: the detailed answer, or a page of decisions for those."""
    header, rows = _MAKERS[table]
    return _csv(header, rows(orjson.loads(content)))


def summary_table(content: bytes) -> bytes:
    """Return a batch's summary with a line per job and text; a job without texts has one line."""
    header = ("batch_id", *_JOB, "ssr", "separation_g", *_RANKING)
    return _csv(header, _summary(orjson.loads(content)))


def _items(body: Mapping[str, Any]) -> Iterator[Cells]:
    for item in body["items"]:
        yield [*_picked(item, _ITEM), *_picked(item["published"] or {}, _PUBLISHED)]


def _decisions(body: Mapping[str, Any]) -> Iterator[Cells]:
    for each in body["decisions"]:
        sides = (each["essay_a_id"], each["essay_b_id"])
        # The first three columns are what `ras bradley-terry` reads.
        chosen = {"essay_a": sides, "essay_b": sides[::-1]}.get(each["winner"], (None, None))
        yield [each["judge"], *chosen, *_picked(each, _DECISION), *_picked(each["provenance"], _SOURCE)]


def _matrix(body: Mapping[str, Any]) -> Iterator[Cells]:
    names = body["matrix"]["items"]
    for a, b, judged, a_wins in body["matrix"]["pairs"]:
        yield [names[a], names[b], judged, a_wins, judged - a_wins]


def _judges(body: Mapping[str, Any]) -> Iterator[Cells]:
    rates = {each["judge"]: each for each in (body["agreement"] or {"judges": ()})["judges"]}
    for judge in body["judges"]:
        rate = rates.get(judge["judge"], {})
        yield [*_picked(judge, _JUDGE), *_picked(judge["costs"], _COST), *_picked(rate, _RATE)]


def _summary(body: Mapping[str, Any]) -> Iterator[Cells]:
    for job in body["jobs"]:
        reliability = _picked(job["reliability"], ("ssr", "separation_g"))
        shared = [body["batch_id"], *_picked(job, _JOB), *reliability]
        ranking: Sequence[Mapping[str, Any]] = job["ranking"] or ({},)
        for line in ranking:
            yield [*shared, *_picked(line, _RANKING)]


_MAKERS: Final = {
    Table.ITEMS: ((*_ITEM, *(f"published_{name}" for name in _PUBLISHED)), _items),
    Table.DECISIONS: (("judge", "chosen", "not_chosen", *_DECISION, *_SOURCE), _decisions),
    Table.MATRIX: (("item_a", "item_b", "judged", "a_wins", "b_wins"), _matrix),
    Table.JUDGES: (
        (*_JUDGE, *(f"cost_{name}" if name == "usd" else name for name in _COST), *_RATE),
        _judges,
    ),
}


def _picked(row: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    return [row.get(name) for name in names]


def _csv(header: Sequence[str], rows: Iterable[Cells]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
