"""`ras history` and `ras explain`: what happened to a batch, and why it is ready or is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from application.explanation import ExplainReadiness
from application.history import BatchHistory, UnknownBatchError, UnreadableEventError
from application.time_travel import By, moment
from domain.narrative import NAMED, counted
from infrastructure.bootstrap import stream_reader
from infrastructure.cli.failures import CommandError
from infrastructure.cli.output import console
from infrastructure.cli.roles import prepared
from infrastructure.eventstore.streams import StreamReader
from infrastructure.postgres import schema_version
from infrastructure.postgres.bodies import batch_body
from infrastructure.running import servers_to_look_at

_SHOWN = 50


def history(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")],
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Up to this time (RFC 3339), and how the batch stood then."),
    ] = None,
    by: Annotated[
        By, typer.Option(help="Which time counts: when RAS learnt of it, or when it was so.")
    ] = By.RECORDED,
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Show every event, not the first {_SHOWN}.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Tell what happened to a batch, event by event, with the message that caused each."""
    at = _asked(as_of)
    with _streams() as streams:
        told = BatchHistory(streams.read)
        counts: Counter[str] = Counter()
        events: list[dict[str, Any]] = []
        for event in told.events(batch_id, at=at, by=by):
            counts[event["event"]] += 1
            if show_all or len(events) < _SHOWN:
                events.append(event)
        status = None if at is None else _status_at(told, batch_id, at, by)
    if json_output:
        summary = {"batch_id": batch_id, "as_of": at, "by": by.value if at else None, "count": counts.total()}
        typer.echo(orjson.dumps({**summary, "counts": counts, "events": events, "status": status}))
        return
    table = Table("version", "happened", "recorded", "what", "message", "event id", "correlation id")
    for event in events:
        table.add_row(*_row(event))
    out = console()
    out.print(table)
    if len(events) < counts.total():
        out.print(f"… and {counts.total() - len(events):,} more; --all shows them. In all:")
        for name, number in counts.most_common():
            out.print(f"{number:>8,}  {name}")
    if at is not None:
        out.print(_standing(status, at))


def explain(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")],
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Name every essay, not the first {NAMED} of each list.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say why a batch is ready, or is not: what is known, what is missing, what RAS waits for."""
    with _streams() as streams:
        body = ExplainReadiness(streams.read)(batch_id, most=None if show_all else NAMED)
    if json_output:
        typer.echo(orjson.dumps(body))
        return
    out = console()
    for sentence in body["sentences"]:
        out.print(sentence)
    for awaited in body["awaited"]:
        out.print(
            f"Awaited: {counted(awaited['count'], awaited['message'].replace('_', ' '))} from {awaited['topic']}"
        )


@contextmanager
def _streams() -> Iterator[StreamReader]:
    """Lend a reader; that something is unknown or unreadable becomes a sentence."""
    servers = servers_to_look_at(prepared())
    schema_version.check(servers.database_url)
    streams = stream_reader(servers.database_url)
    try:
        yield streams
    except (UnknownBatchError, UnreadableEventError) as error:
        raise CommandError(str(error)) from error
    finally:
        streams.close()


def _asked(as_of: str | None) -> datetime | None:
    try:
        return None if as_of is None else moment(as_of)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--as-of") from error


def _status_at(told: BatchHistory, batch_id: str, at: datetime, by: By) -> dict[str, Any] | None:
    """Return how the batch stood, None while it was not registered."""
    try:
        row = told.status_at(batch_id, at, by)
    except UnknownBatchError:
        return None
    return batch_body({**row, "essays": orjson.dumps(row["essays"]).decode()})


def _standing(status: dict[str, Any] | None, at: datetime) -> str:
    if status is None:
        return f"At {at.isoformat()} the batch was not registered."
    return (
        f"At {at.isoformat()} the batch was {status['overall_status'].replace('_', ' ')}: "
        f"{status['completed_essay_count']:,} of {status['essay_count']:,} essays done, "
        f"{status['failed_essay_count']:,} failed."
    )


def _row(event: dict[str, Any]) -> Iterator[str]:
    cause = event["cause"] or {}
    yield str(event["version"])
    for name in ("happened_at", "recorded_at"):
        yield event[name].isoformat() if event[name] else ""
    yield event["text"]
    yield f"{cause['topic']}/{cause['partition']}/{cause['offset']}" if cause else ""
    yield cause.get("event_id") or ""
    yield cause.get("correlation_id") or ""
