"""Tables at 80 and 140 columns and in a pipe, as a person reads them: `tests/integration/tables/` holds them.

`UPDATE_SNAPSHOTS=1` writes them again. Read them before you commit them.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer
from rich.console import Console

from application import topics
from application.conservation import Account, Finding, Report
from application.drain import Drained
from application.put_aside import put_aside, sentences
from domain.batch_events import DrainOutcome
from domain.session_link import Scored, link
from infrastructure.cli import (
    check,
    dead_letters,
    history,
    init,
    judging_link,
    judging_tables,
    outbox,
    parked,
    rebuild,
    replay,
    status,
    up,
)
from infrastructure.cli.standard_output import say
from infrastructure.cli.tables import print_rows
from infrastructure.demo.report import print_report
from infrastructure.local.deployment import Deployment
from infrastructure.local.newest_batch import NewestBatch
from infrastructure.operations.outbox import OutboxEntry
from infrastructure.operations.progress import Progress
from infrastructure.rebuild.comparing import Comparison, Difference
from infrastructure.rebuild.outcomes import Rebuilt, Speed, TurnedBack
from infrastructure.rebuild.states import State
from infrastructure.settings import Servers, Settings
from infrastructure.visible import visible_lines

TABLES = Path(__file__).parent / "tables"
AT = datetime(2026, 3, 7, 8, 30, tzinfo=UTC)


def an_id(number: int) -> str:
    """Return an id as upstream makes them; those of one kind begin alike."""
    return str(UUID(int=0x1234_5678_9ABC_4DEF_8123 << 48 | number))


def reader(role: str, source: str, **known: Any) -> Progress:
    """Return a reader that is well, but for what is `known` of it."""
    facts: dict[str, Any] = {
        "position": 123_456,
        "head": 123_456,
        "lag": 0,
        "lag_seconds": 0.0,
        "per_second": 12.5,
        "condition": "ok",
        "owner": "host-1/17",
        "last_error": None,
        "last_error_at": None,
        "updated_at": "2026-03-07T08:30:00+00:00",
    }
    return Progress(role, source, **facts | known)


def readers(**troubled: Any) -> list[Progress]:
    """Return all readers of an installation; one partition is `troubled`."""
    rows = [reader("ingest", f"{topic}/{n}") for topic in topics.INPUT_TOPICS for n in range(3)]
    if troubled:
        rows[4] = reader("ingest", rows[4].source, **troubled)
    rows.append(reader("publish", "ras-publisher", lag=3, lag_seconds=1.4))
    names = ("batch_results", "assessments", "teacher_inbox", "dead_letters")
    return [*rows, *(reader("project", name) for name in names)]


def show_status(out: Console) -> None:
    """Show an installation that is well."""
    status._print(out, readers(), [], wide=False)


def show_status_in_trouble(out: Console) -> None:
    """Show one in which a partition waits for Kafka."""
    rows = readers(
        condition="degraded",
        lag=4711,
        lag_seconds=86400.5,
        last_error="Kafka does not answer: KafkaConnectionError: Unable to bootstrap from 10.0.0.7:9092",
        last_error_at="2026-03-07T08:29:30+00:00",
    )
    status._print(out, rows, [], wide=False)


def show_status_of_a_rebuild(out: Console) -> None:
    """Show a rebuild under way, and one that nobody continues."""
    rows = [
        *readers()[-2:],
        reader("rebuild", "batch_results", condition="catching up", lag=12, per_second=None),
        reader("rebuild", "assessments", condition="interrupted", lag=9000, per_second=None),
    ]
    status._print(out, rows, [], wide=False)


def show_status_wide(out: Console) -> None:
    """Show every partition."""
    status._print(out, readers()[:4], [], wide=True)


def show_outbox(out: Console) -> None:
    """Show two records."""
    entries = [
        OutboxEntry(
            position=100_000 + n,
            aggregate=f"batch-{an_id(n)}",
            version=41,
            event_type="ras.batch.results-ready.v2",
            topic=topics.BATCH_RESULTS_READY,
            key=an_id(n),
            event_id=an_id(n + 10),
            recorded_at="2026-03-07T08:30:00+00:00",
            published_at="2026-03-07T08:30:01+00:00",
        )
        for n in range(2)
    ]
    outbox._print(out, "Published, last first", entries)


def show_history(out: Console) -> None:
    """Show two events."""
    events: list[Any] = [
        {
            "version": 9 + n,
            "happened_at": AT,
            "recorded_at": AT + timedelta(microseconds=123_456),
            "text": f"The spellcheck of essay {an_id(n)} succeeded with 17 corrections.",
            "cause": {
                "topic": topics.SPELLCHECK_RESULTS,
                "partition": 2,
                "offset": 4711 + n,
                "event_id": an_id(n + 20),
                "correlation_id": an_id(n + 30),
            },
        }
        for n in range(2)
    ]
    print_rows(out, history._HEADINGS, [list(history._row(event)) for event in events], first=3)


def show_check(out: Console) -> None:
    """Show a report with a fault."""
    del out
    report = Report()
    report.accounts += [
        Account("messages of huleedu.essay.spellcheck.results.v1", 1_234_567, 1_234_567, "messages"),
        Account("records of huleedu.ras.batch.assessment.completed.v1", 4711, 4710, "events"),
    ]
    report.findings.append(
        Finding("records of huleedu.ras.batch.assessment.completed.v1", an_id(1), "was never sent.")
    )
    check._print(report)


def show_dead_letters(out: Console) -> None:
    """Show two letters."""
    del out
    dead_letters.list_letters(None, limit=2, json_output=False)  # type: ignore[arg-type]


def show_parked(out: Console) -> None:
    """Show two streams."""
    del out
    parked._print(STREAMS)


def show_judging(out: Console) -> None:
    """Show two tables whose rows are wider than 80 columns, and one that is not."""
    items = (
        "rank",
        "item",
        "theta",
        "se",
        "full se",
        "ranks",
        "Firth",
        "infit",
        "outfit",
        "comparisons",
        "wins",
    )
    figures = ("-0.936", "0.811", "0.615", "2-4", "-0.849", "0.677", "0.531", "9", "2")
    rows = [(str(n), f"essay-{n:02}.docx", *figures) for n in (1, 2)]
    judging_tables._print_table(out, "Items", items, rows, names={"item"})
    with_ids = [(str(n), an_id(n), *figures) for n in (1, 2)]
    judging_tables._print_table(out, "Items named by ids", items, with_ids, names={"item"})
    agreement = ("judge", "with", "shared pairs", "kappa")
    row = ("teacher-0001", "all others", "12", "0.167")
    judging_tables._print_table(out, "Agreement", agreement, [row], names={"judge", "with"})


def show_topics(out: Console) -> None:
    """Show rows whose last column on the line has room for a sentence, but not for this topic."""
    rows = [(an_id(n), "2026-03-07T08:30", topics.SPELLCHECK_RESULTS, "an end") for n in range(2)]
    print_rows(out, ("id", "received", "topic", "detail"), rows, first=3)


def show_demo(out: Console) -> None:
    """Show the result of a demonstration."""
    essay = {
        "file_name": "essay-02.docx",
        "spellcheck": "completed",
        "corrections": 37,
        "rank": 1,
        "grade": "A",
    }
    failed = {
        "file_name": "essay-03.docx",
        "spellcheck": "failed",
        "corrections": 0,
        "rank": None,
        "grade": None,
    }
    result = {
        "agrees": True,
        "batches": 300,
        "outcomes": {"completed_successfully": 256, "completed_with_failures": 25, "failed_critically": 19},
        "essays": 8148,
        "messages": {"sent": 23694, "taken_in": 23694, "repeated": 1140, "dead_lettered": 0, "parked": 0},
        "events_recorded": 24193,
        "announcements": {"results_ready": 317, "assessment_completed": 245},
        "notifications": 1394,
        "rates": {"messages_per_s": 573.2, "events_per_s": 585.4, "published_per_s": 47.3},
        "latency_ms": {"notifications": 1394, "p50": 1565.2, "p99": 2831.4},
        "sample": {
            "batch_id": an_id(1),
            "user_id": "teacher-0038",
            "overall_status": "completed_with_failures",
            "essays": [{**essay, "score": 2.42}, {**failed, "score": None}],
        },
    }
    print_report(out, result)


def show_explanation(out: Console) -> None:
    """Show why a batch is not ready, with a message that was put aside."""
    body: Any = {
        "sentences": [
            f"The batch is not ready: it waits for the spellcheck of essays {an_id(1)}, {an_id(2)} and 28 more.",
            "Its pipeline has the phases spellcheck and cj_assessment; the second has not begun.",
            *sentences(put_aside(an_id(0), LETTER_PAGE)),
        ],
        "awaited": [{"message": "spellcheck_result", "count": 30, "topic": topics.SPELLCHECK_RESULTS}],
    }
    history._print_explanation(out, body)


def show_init(out: Console) -> None:
    """Show the first `ras init` with grants, on a broker with a topic that loses messages."""
    del out
    init._print(
        [topics.BATCH_RESULTS_READY, topics.TEACHER_NOTIFICATION_REQUESTED],
        ["The read model batch_results does not exist yet: run `ras rebuild batch_results`."],
        ["GRANT USAGE ON SCHEMA ras TO ras_ingest", "GRANT SELECT, INSERT ON ras.events TO ras_ingest"],
        [],
    )


def show_rebuild(out: Console) -> None:
    """Show one read model that was switched, one of a new version, and one whose rows differ."""
    del out
    outcome = partial(
        Rebuilt,
        version=12,
        state=State.SWAPPED,
        position=1_234_567,
        resumed=False,
        replaced_version=12,
        proven_at=1_234_560,
        comparison=Comparison(9_876, 0, ()),
    )
    row = {"batch_id": an_id(1), "essay_id": an_id(2)}
    differing = Comparison(
        10, 1_234, (Difference("essays", row, "spellcheck is completed, the live row has failed"),)
    )
    rebuild._show(
        [
            outcome("batch_results"),
            outcome("assessments", replaced_version=11, proven_at=None, comparison=None, resumed=True),
            outcome("teacher_inbox", state=State.ABANDONED, proven_at=None, comparison=differing),
        ],
        Speed(events=1_234_567, seconds=35.51),
        json_output=False,
    )


def show_rebuild_rolled_back(out: Console) -> None:
    """Show a read model whose earlier side is live again, and one of an earlier release."""
    for turned in (
        TurnedBack("batch_results", 12, 1_234_567, is_followed=True),
        TurnedBack("assessments", 11, 1_234_567, is_followed=False),
    ):
        out.print(rebuild._turned_line(turned))


def show_drained(out: Console) -> None:
    """Show a stream whose messages were ingested, one that stopped, and one that is refused."""
    del out
    parked._report(
        {
            f"batch-{an_id(0)}": Drained({DrainOutcome.RECORDED: 17, DrainOutcome.REPEATED: 1}, 0, None),
            f"batch-{an_id(1)}": Drained({DrainOutcome.RECORDED: 3}, 14, "KeyError: 'essay'"),
        },
        {f"batch-{an_id(2)}": "event 4 of this stream cannot be read by this release"},
        json_output=False,
    )


def show_link(out: Console) -> None:
    """Show how a session is moved onto the scale of another."""
    del out
    base = {f"essay-{n:02}.docx": Scored(0.5 * n, 0.3) for n in range(5)}
    other = {f"essay-{n:02}.docx": Scored(0.4 * n - 1, 0.3) for n in range(5)} | {
        "essay-05.docx": Scored(2.0, 0.4)
    }
    judging_link._print(link(base, other), "spring-session.csv", "autumn-session.csv")


def show_letter(out: Console) -> None:
    """Show one letter with its message."""
    del out
    dead_letters.show_letter(123_456, raw=False, json_output=False)


def show_up(out: Console) -> None:
    """Show what `ras up` prints when it is ready."""
    del out
    api, servers = "http://127.0.0.1:4003", Servers("postgresql://ras@127.0.0.1:5432/ras", "127.0.0.1:9092")
    deployment = Deployment(
        servers,
        api=api,
        assessments="http://127.0.0.1:4004",
        api_key="k" * 43,
        session_key="s" * 64,
        logs=Path("/home/teacher-0007/ras/.ras/logs"),
        roles={},
        embedded_kafka=True,
    )
    links = dict.fromkeys(("teacher", "examiner", "operator"), f"{api}/sign-in?ticket={'t' * 200}")
    settings = Settings(_env_file=None, home=Path("/home/teacher-0007/ras/.ras"))
    newest = NewestBatch(an_id(0), "teacher-0007", an_id(1))
    lines = up._described(deployment, settings, links, newest)
    typer.echo(visible_lines(re.sub(r"^  \S+ (status|replay|check)", r"  ras \1", lines, flags=re.MULTILINE)))


def show_not_read(out: Console) -> None:
    """Show the warning of messages for a topic whose name is misspelt."""
    del out
    say(replay.not_read("huleedu.essay.spellcheck.result.v1", 1_234))


LETTERS = [
    {
        "position": 123_456 + n,
        "reason": "contract_violation",
        "state": "open",
        "received_at": AT,
        "topic": topics.COMPARISON_RESULT,
        "partition": 11,
        "offset": 1_234_567 + n,
        "detail": "data.entity_id: Field required; data.status: Input should be 'completed' or 'failed'",
    }
    for n in range(2)
]
LETTER_PAGE: Any = {"dead_letters": LETTERS, "next_cursor": None}
LETTER: Any = {
    **LETTERS[0],
    "stream_id": f"letter-{an_id(3)}",
    "attempts": 2,
    "changed_at": AT,
    "changed_by": "teacher-0007",
    "note": None,
    "stream_version": 1,
    "key": b64encode(b"job-17").decode(),
    "value": b64encode(b'{"event_type": "LLMComparisonResultV1",\n "data": {"request_id": 7}}').decode(),
    "headers": [],
}
STREAMS = [
    {"stream_id": f"batch-{an_id(n)}", "waiting": 17, "since": AT, "fault": "KeyError: 'essay'"}
    for n in range(2)
]


@pytest.mark.parametrize("width", [80, 140, None], ids=["80", "140", "piped"])
@pytest.mark.parametrize(
    "show",
    [
        show_status,
        show_status_in_trouble,
        show_status_of_a_rebuild,
        show_status_wide,
        show_outbox,
        show_history,
        show_check,
        show_dead_letters,
        show_parked,
        show_judging,
        show_topics,
        show_demo,
        show_explanation,
        show_init,
        show_rebuild,
        show_rebuild_rolled_back,
        show_drained,
        show_link,
        show_letter,
        show_up,
        show_not_read,
    ],
)
def test_a_table_is_as_a_person_has_read_it(
    show: Callable[[Console], None],
    width: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = Console(
        highlight=False,
        markup=False,
        emoji=False,
        color_system=None,
        force_terminal=width is not None,
        width=width or 100_000,
        height=24,
        soft_wrap=width is None,
    )
    for module in (check, dead_letters, init, judging_link, parked, rebuild):
        monkeypatch.setattr(module, "console", lambda: out)
    monkeypatch.setattr(judging_tables, "visible_console", lambda: out)
    answer = LETTER if show is show_letter else LETTERS
    monkeypatch.setattr(dead_letters, "ask", lambda _question: answer)

    show(out)

    shown = capsys.readouterr().out
    shown = re.sub(r" +$", "", shown, flags=re.MULTILINE) if width else shown
    snapshot = TABLES / f"{show.__name__.removeprefix('show_')}-{width or 'piped'}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        TABLES.mkdir(exist_ok=True)
        snapshot.write_text(shown)
    assert shown == snapshot.read_text()
    lines = shown.splitlines()
    if width and show not in AS_THEY_ARE:
        assert max(map(len, lines)) <= width
    _holds_every_id(show, "".join(shown.split()))
    if show in (show_status, show_status_in_trouble) and width:
        assert len(lines) < 24


AS_THEY_ARE = (show_status_wide, show_letter, show_up, show_not_read)
"""Lines to copy, which a terminal wraps by itself."""


def _holds_every_id(show: Callable[[Console], None], shown: str) -> None:
    expected: dict[Callable[[Console], None], Sequence[str]] = {
        show_outbox: [an_id(n) for n in (0, 1, 10, 11)],
        show_history: [an_id(n) for n in (0, 1, 20, 21, 30, 31)],
        show_check: [an_id(1)],
        show_parked: [an_id(0), an_id(1)],
        show_demo: [an_id(1), "essay-03.docx", "2,831"],
        show_judging: [an_id(1), an_id(2), "essay-01.docx", "essay-02.docx", "-0.936"],
        show_dead_letters: ["123456", "123457", "1234567", "1234568", topics.COMPARISON_RESULT],
    }
    for each in expected.get(show, ()):
        assert each in shown
