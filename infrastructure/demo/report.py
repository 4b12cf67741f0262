"""The result of a demonstration, as a document for programs and as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from application import topics
from infrastructure.demo.announcements import Announced
from infrastructure.demo.performance import Performance
from infrastructure.demo.script import ExpectedBatch
from infrastructure.visible import visible

_SHOWN_DISAGREEMENTS: Final = 10
_LATENCY_NOTE: Final = "under full load: the stream is played as fast as it is ingested, so messages queue"

Document = dict[str, Any]


def document(performance: Performance) -> Document:
    """Return everything as JSON: counts, latencies in milliseconds, rates a second, one batch, and what disagrees."""
    evidence, timing = performance.evidence, performance.timing
    expected = evidence.expected.values()
    heard = Counter(record.topic for record in evidence.heard)
    intake = evidence.ledger.intake
    intake_s = timing.taken_in_at - timing.began_at
    output_s = timing.last_heard_at - timing.began_at
    return {
        "agrees": not performance.verdict.disagreements,
        "seed": performance.scenario.seed,
        "batches": len(expected),
        "outcomes": dict(Counter(batch.overall_status.value for batch in expected)),
        "essays": sum(batch.total for batch in expected),
        "messages": {
            "sent": evidence.sent,
            "taken_in": intake.taken_in,
            "recorded": intake.recorded,
            "repeated": intake.repeated,
            "dead_lettered": intake.dead_lettered,
            "parked": intake.parked,
        },
        "events_recorded": evidence.ledger.events,
        "announcements": {
            "results_ready": heard[topics.BATCH_RESULTS_READY],
            "assessment_completed": heard[topics.BATCH_ASSESSMENT_COMPLETED],
        },
        "notifications": heard[topics.TEACHER_NOTIFICATION_REQUESTED],
        "latency_ms": {
            "p50": _milliseconds(timing.latencies_s, 0.5),
            "p99": _milliseconds(timing.latencies_s, 0.99),
            "notifications": len(timing.latencies_s),
            "note": _LATENCY_NOTE,
        },
        "rates": {
            "messages_per_s": _rate(intake.taken_in, intake_s),
            "events_per_s": _rate(evidence.ledger.events, intake_s),
            "published_per_s": _rate(len(evidence.heard), output_s),
        },
        "seconds": {"intake": round(intake_s, 3), "until_last_published": round(output_s, 3)},
        "sample": _sample(performance),
        "disagreements": [
            {"batch_id": each.batch_id, "what": each.what} for each in performance.verdict.disagreements
        ],
    }


def print_report(console: Console, result: Document) -> None:
    """Write the tables to `console`."""
    console.print()
    for table in (_counts(result), _speed(result), _essays(result["sample"])):
        _print_table(console, table)
        console.print()
    if result["agrees"]:
        console.print(
            Text.assemble(
                ("All of it agrees:", "bold green"),
                " what came out of Kafka and of the API is what the stream demands, for each of its "
                f"{result['batches']} batches.",
            ),
            soft_wrap=not console.is_terminal,
        )
        return
    console.print(Text(f"{len(result['disagreements'])} disagreements:", "bold red"))
    for line in disagreement_lines(result):
        console.print(visible(line), markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _print_table(console: Console, table: Table) -> None:
    """Write a table; into a pipe or a file its rows as lines, with tabs between the cells and no padding."""
    if console.is_terminal:
        console.print(table)
        return
    console.print(table.title, soft_wrap=True)
    headings = [[column.header for column in table.columns]] if table.show_header else []
    for row in (*headings, *zip(*(column.cells for column in table.columns), strict=True)):
        # The console would make blanks of the tabs.
        console.file.write("\t".join(str(cell).strip() for cell in row) + "\n")


def disagreement_lines(result: Document) -> Iterator[str]:
    """Yield what disagrees, a line for each of the first batches, and how many more batches there are."""
    found: dict[str | None, list[str]] = {}
    for each in result["disagreements"]:
        found.setdefault(each["batch_id"], []).append(each["what"])
    of_the_stream = found.pop(None, [])
    yield from (f"  {what}" for what in of_the_stream[:_SHOWN_DISAGREEMENTS])
    if len(of_the_stream) > _SHOWN_DISAGREEMENTS:
        yield f"  and {len(of_the_stream) - _SHOWN_DISAGREEMENTS} more of the stream as a whole"
    yield from (
        f"  batch {batch_id}: {'; '.join(what)}"
        for batch_id, what in list(found.items())[:_SHOWN_DISAGREEMENTS]
    )
    if len(found) > _SHOWN_DISAGREEMENTS:
        yield f"  and {len(found) - _SHOWN_DISAGREEMENTS} more batches (`--json` lists all)"


def _counts(result: Document) -> Table:
    messages, announced = result["messages"], result["announcements"]
    table = _table("What went in, and what came out", ("", "left"), ("", "right"), ("", "left"))
    table.show_header = False
    outcomes = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in result["outcomes"].items())
    for name, count, remark in (
        ("batches", result["batches"], outcomes),
        ("essays", result["essays"], ""),
        ("messages in", messages["taken_in"], f"{messages['sent']:,} sent"),
        ("  of which repeats or outdated", messages["repeated"], "changed nothing"),
        ("  of which dead letters", messages["dead_lettered"] + messages["parked"], ""),
        ("events recorded", result["events_recorded"], ""),
        ("results-ready announcements", announced["results_ready"], "again where a result was superseded"),
        ("assessment announcements", announced["assessment_completed"], "for batches that were judged"),
        ("teacher notifications", result["notifications"], "announcements, and progress of batches"),
    ):
        table.add_row(name, f"{count:,}", remark)
    return table


def _speed(result: Document) -> Table:
    latency, rates = result["latency_ms"], result["rates"]
    table = _table(
        "How fast, all roles on this machine and as many messages as they take",
        ("", "left"),
        ("", "right"),
        ("", "left"),
    )
    table.show_header = False
    table.add_row("ingested", f"{rates['messages_per_s']:,.0f}/s", "messages")
    table.add_row("recorded", f"{rates['events_per_s']:,.0f}/s", "events")
    table.add_row("published", f"{rates['published_per_s']:,.0f}/s", "announcements and notifications")
    if latency["notifications"]:
        name = "last message in → notification read"
        table.add_row(name, f"{latency['p50']:,.0f} ms", "p50, with the time that messages queue")
        table.add_row("", f"{latency['p99']:,.0f} ms", "p99")
    return table


def _essays(sample: Document) -> Table:
    table = _table(
        f"One batch: {sample['batch_id']} of {sample['user_id']}, {sample['overall_status'].replace('_', ' ')}",
        ("file", "left"),
        ("spellcheck", "left"),
        ("corrections", "right"),
        ("rank", "right"),
        ("grade", "left"),
        ("score", "right"),
    )
    for essay in sample["essays"]:
        score = essay["score"]
        table.add_row(
            *(
                Text("-" if value is None else visible(str(value)))
                for value in (
                    essay["file_name"],
                    essay["spellcheck"],
                    essay["corrections"],
                    essay["rank"],
                    essay["grade"],
                    None if score is None else f"{score:+.2f}",
                )
            )
        )
    return table


def _table(title: str, *columns: tuple[str, Any]) -> Table:
    table = Table(title=Text(visible(title)), title_justify="left", title_style="bold")
    for name, justify in columns:
        table.add_column(name, justify=justify)
    return table


def _sample(performance: Performance) -> Document:
    """Return one batch as the API and Kafka show it: one that a reader can take in and learn from."""
    batch = min(performance.evidence.expected.values(), key=_tells_little)
    answer = performance.evidence.statuses.get(batch.batch_id)
    essays = answer.get("essays", []) if isinstance(answer, dict) else []
    said = performance.verdict.announced.get(batch.batch_id, Announced())
    grades = {line.essay_id: line.letter_grade for each in said.assessed for line in each.rankings_summary}
    return {
        "batch_id": batch.batch_id,
        "user_id": batch.user_id,
        "essay_id": max(batch.essay_ids, key=lambda essay_id: essay_id in grades),
        "overall_status": batch.overall_status.value,
        "essays": [
            {
                "essay_id": essay["essay_id"],
                "file_name": essay.get("filename"),
                "spellcheck": essay.get("spellcheck_status"),
                "corrections": essay.get("spellcheck_correction_count"),
                "rank": essay.get("cj_rank"),
                "grade": grades.get(essay["essay_id"]),
                "score": essay.get("cj_score"),
            }
            for essay in sorted(
                essays, key=lambda essay: (essay.get("cj_rank") is None, essay.get("cj_rank"))
            )
        ],
    }


def _tells_little(batch: ExpectedBatch) -> tuple[bool, bool, int]:
    return not batch.rankings, not batch.failed, abs(batch.total - 12)


def _milliseconds(latencies_s: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile."""
    if not latencies_s:
        return None
    return round(1000 * sorted(latencies_s)[ceil(share * len(latencies_s)) - 1], 1)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0
