"""`ras history` and `ras explain`: what happened to a batch, and why it is ready or is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

import typer

from application.explanation import ExplainReadiness
from application.history import BatchHistory, UnknownBatchError, UnreadableEventError
from application.json_text import json_bytes
from application.put_aside import not_searched, put_aside, sentences
from application.queries import LetterFilter
from application.responses.batches import BatchStatus
from application.responses.history import Explanation, HistoryEvent, PutAside
from application.time_travel import By
from domain.narrative import NAMED
from domain.wording import counted
from infrastructure.cli.failures import CommandError
from infrastructure.cli.standard_output import console
from infrastructure.cli.starting import prepared
from infrastructure.cli.tables import print_rows
from infrastructure.errors import OperatorError
from infrastructure.eventstore.streams import StreamReader
from infrastructure.local.running_note import servers_to_look_at
from infrastructure.postgres import schema_version
from infrastructure.roles.bootstrap import stream_reader

if TYPE_CHECKING:
    from rich.console import Console

_HEADINGS: Final = ("version", "happened", "what", "recorded", "message", "event id", "correlation id")


def history(batch_id: str, *, as_of: datetime | None, by: By, most: int | None, json_output: bool) -> None:
    """Print what happened to a batch up to `as_of`, at most `most` events."""
    with _streams(batch_id) as streams:
        told = BatchHistory(streams.read)
        counts: Counter[str] = Counter()
        events: list[HistoryEvent] = []
        for event in told.events(batch_id, at=as_of, by=by):
            counts[event["event"]] += 1
            if most is None or len(events) < most:
                events.append(event)
        status = None if as_of is None else _status_at(told, batch_id, as_of, by)
    if json_output:
        summary = {
            "batch_id": batch_id,
            "as_of": as_of,
            "by": by.value if as_of else None,
            "count": counts.total(),
        }
        body = {**summary, "counts": counts, "events": events, "status": status}
        typer.echo(json_bytes({**body, "put_aside": _put_aside(batch_id)}))
        return
    out = console()
    print_rows(out, _HEADINGS, [list(_row(event)) for event in events], first=3)
    if len(events) < counts.total():
        out.print(f"… and {counts.total() - len(events):,} more; --all shows them. In all:")
        for name, number in counts.most_common():
            out.print(f"{number:>8,}  {name}")
    if as_of is not None:
        out.print(_standing(status, as_of))
    for sentence in sentences(_put_aside(batch_id)):
        out.print(sentence)


def explain(batch_id: str, *, most: int | None, json_output: bool) -> None:
    """Print why a batch is ready, or is not; at most `most` names of each list."""
    with _streams(batch_id) as streams:
        body = ExplainReadiness(streams.read)(batch_id, most=most)
    found = _put_aside(batch_id)
    body["sentences"] += sentences(found)
    if json_output:
        typer.echo(json_bytes({**body, "put_aside": found}))
        return
    _print_explanation(console(), body)


def _print_explanation(out: Console, body: Explanation) -> None:
    for sentence in body["sentences"]:
        out.print(sentence)
    for awaited in body["awaited"]:
        out.print(
            f"Awaited: {counted(awaited['count'], awaited['message'].replace('_', ' '))} from {awaited['topic']}"
        )


def _put_aside(batch_id: str) -> PutAside:
    """Return the open dead letters and parked messages that carry the batch's ids, as far as can be known."""
    # Only here: a command that a setting stops has not loaded what reads the read models.
    from infrastructure.cli.letters import ask
    from infrastructure.postgres.read_models import ReadModelUnavailableError

    try:
        page = ask(
            lambda queries: queries.letters(
                LetterFilter(state="open", batch=batch_id), limit=NAMED, before=None
            )
        )
    except (OperatorError, ReadModelUnavailableError) as error:
        return not_searched(batch_id, str(error))
    return put_aside(batch_id, page)


@contextmanager
def _streams(batch_id: str) -> Iterator[StreamReader]:
    """Lend a reader; that something is unknown or unreadable becomes a sentence."""
    servers = servers_to_look_at(prepared())
    schema_version.check(servers.database_url)
    streams = stream_reader(servers.database_url)
    try:
        yield streams
    except UnknownBatchError as error:
        raise CommandError(" ".join([str(error), *sentences(_put_aside(batch_id))])) from error
    except UnreadableEventError as error:
        raise CommandError(str(error)) from error
    finally:
        streams.close()


def _status_at(told: BatchHistory, batch_id: str, at: datetime, by: By) -> BatchStatus | None:
    """Return how the batch stood, None while it was not registered."""
    try:
        return told.status_at(batch_id, at, by)
    except UnknownBatchError:
        return None


def _standing(status: BatchStatus | None, at: datetime) -> str:
    if status is None:
        return f"At {at.isoformat()} the batch was not registered."
    return (
        f"At {at.isoformat()} the batch was {status['overall_status'].replace('_', ' ')}: "
        f"{status['completed_essay_count']:,} of {status['essay_count']:,} essays done, "
        f"{status['failed_essay_count']:,} failed."
    )


def _row(event: HistoryEvent) -> Iterator[str]:
    cause = event["cause"]
    yield str(event["version"])
    yield _time(event["happened_at"])
    yield event["text"]
    yield _time(event["recorded_at"])
    yield f"{cause['topic']}/{cause['partition']}/{cause['offset']}" if cause else ""
    yield (cause["event_id"] if cause else None) or ""
    yield (cause["correlation_id"] if cause else None) or ""


def _time(time: datetime | None) -> str:
    return "" if time is None else time.isoformat()
