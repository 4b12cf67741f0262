"""`ras parked`: streams in which messages wait for a fix of RAS's code, and how to continue them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import typer

from application.drain import STREAM_PREFIXES, Drained, DrainParked, StillUnreadableError
from application.json_text import json_bytes
from domain.batch import batch_stream_id
from domain.wording import counted
from infrastructure.cli.failures import CommandError
from infrastructure.cli.letters import ask, bar, confirm, opened_store, plain
from infrastructure.cli.standard_output import console, say
from infrastructure.cli.tables import print_rows
from infrastructure.eventstore.store import EventStore

_LONGEST_NAME = 300
_COLUMNS = ("waiting", "since", "stream_id", "fault")


def list_parked(*, json_output: bool) -> None:
    """Print the streams in which messages wait, in or out, the longest waiting first."""
    body = _asked()
    streams = body["parked"] + body["unsent"]
    if json_output:
        typer.echo(json_bytes(streams))
        return
    _print(streams)


def _print(streams: Sequence[Mapping[str, Any]]) -> None:
    if not streams:
        say("Nothing is parked.")
        return
    cells = [[str(row[name]) for name in _COLUMNS] for row in map(plain, streams)]
    print_rows(console(), (*_COLUMNS[:2], "stream", *_COLUMNS[3:]), cells, first=3)


def drain_parked(names: Sequence[str], *, by: str, yes: bool, json_output: bool) -> None:
    """Take in what waits in the batches or streams named, in all where none is. Exit code 1 if something waits on.

    Raises CommandError, with nothing changed, where a name is that of no stream.
    """
    waiting = {row["stream_id"]: row["waiting"] for row in _waiting()}
    results: dict[str, Drained] = {}
    refusals: dict[str, str] = {}
    with opened_store() as (store, reading):
        streams = [_meant(name, waiting, store) for name in dict.fromkeys(names)] or list(waiting)
        total = sum(waiting.get(stream, 0) for stream in streams)
        if streams:
            confirm(f"Ingest {counted(total, 'message')} of {counted(len(streams), 'stream')}?", yes=yes)
        drain = DrainParked(store, **reading)
        before = 0
        with bar("parked messages", total) as tell:
            for stream in streams:
                try:
                    results[stream] = drain(stream, by=by, on_progress=partial(_told, tell, before))
                except StillUnreadableError as error:
                    refusals[stream] = str(error)
                else:
                    before += sum(results[stream].outcomes.values())
    _report(results, refusals, json_output=json_output)
    if refusals or any(result.left for result in results.values()):
        raise typer.Exit(1)


def _told(tell: Callable[[int], None], before: int, done: int, _left: int) -> None:
    tell(before + done)


def _waiting() -> list[dict[str, Any]]:
    return list(_asked()["parked"])


def _asked() -> dict[str, list[dict[str, Any]]]:
    async def asked(queries: Any) -> dict[str, list[dict[str, Any]]]:
        return dict(await queries.parked())

    return ask(asked)


def _meant(name: str, waiting: Collection[str], store: EventStore) -> str:
    """Return the stream that a person means by the name of a batch, or of a stream. Raises CommandError."""
    if not name.strip() or "\0" in name or len(name) > _LONGEST_NAME:
        raise CommandError("A batch has an id; `ras parked list` shows the streams in which messages wait.")
    if name in waiting:
        return name
    # The id of a batch may itself begin as the name of a stream does.
    of_batch = batch_stream_id(name)
    candidates = (of_batch, name) if name.startswith(STREAM_PREFIXES) else (of_batch,)
    with store.transaction() as transaction:
        recorded = transaction.load(dict.fromkeys(candidates, 0), most=1)
    for stream in candidates:
        if stream in recorded:
            return stream
    raise CommandError(
        f"Nothing is recorded of {name!r}; `ras parked list` shows the streams in which messages wait. "
        "Nothing was changed."
    )


def _report(results: dict[str, Drained], refusals: dict[str, str], *, json_output: bool) -> None:
    if json_output:
        refused: dict[str, Any] = {
            stream: {"outcomes": {}, "left": None, "fault": why} for stream, why in refusals.items()
        }
        body = {stream: result.as_json() for stream, result in results.items()} | refused
        typer.echo(json_bytes(body))
        return
    if not results and not refusals:
        say("Nothing is parked.")
    out = console()
    for stream, result in results.items():
        done = sum(result.outcomes.values())
        kinds = ", ".join(
            f"{number:,} {outcome.value.replace('_', ' ')}"
            for outcome, number in result.outcomes.items()
            if number
        )
        out.print(f"{stream}: {done:,} ingested{f' ({kinds})' if kinds else ''}, {result.left:,} left.")
        if result.fault is not None:
            out.print(f"  Stopped: {result.fault}")
    for stream, fault in refusals.items():
        out.print(f"{stream}: {fault}")
