"""What the commands on dead letters and parked messages share: a query, the event store, a progress bar."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypedDict, TypeVar

from rich.console import Console
from rich.prompt import Confirm

from application.queries import DeadLetterQueries
from infrastructure.cli.failures import CommandError
from infrastructure.cli.progress import ProgressBars
from infrastructure.cli.starting import prepared
from infrastructure.eventstore.store import EventStore
from infrastructure.local.running_note import servers_to_look_at
from infrastructure.postgres import schema_version
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.read_pool import ReadConnections
from infrastructure.roles.bootstrap import event_store
from projections.dead_letters import dead_letters

_T = TypeVar("_T")


def ask(question: Callable[[DeadLetterQueries], Awaitable[_T]]) -> _T:
    """Ask the read model one thing."""
    servers = servers_to_look_at(prepared())
    schema_version.check(servers.database_url, read_models={dead_letters.name: dead_letters.version})

    async def asked() -> _T:
        reads = ReadConnections(servers.database_url, size=1)
        try:
            return await question(PostgresQueries(reads.rows))
        finally:
            await reads.close()

    return asyncio.run(asked())


class Reading(TypedDict):
    """What use cases that ingest messages have to know of the settings; pass it on as keywords."""

    future_tolerance: timedelta
    notes_progress: bool


@contextmanager
def opened_store() -> Iterator[tuple[EventStore, Reading]]:
    """Lend the event store, and by which settings messages are read."""
    settings = prepared()
    servers = servers_to_look_at(settings)
    schema_version.check(servers.database_url, read_models={})
    store = event_store(servers.database_url)
    try:
        tolerance = settings.future_tolerance
        yield store, Reading(future_tolerance=tolerance, notes_progress=settings.progress_notifications)
    finally:
        store.close()


def confirm(question: str, *, yes: bool) -> None:
    """Go on if the person says so. Raises CommandError if not; nothing has changed then."""
    if yes:
        return
    try:
        # Not typer's: that one writes a blank to standard output, where only the answer belongs.
        agreed = Confirm.ask(question, console=Console(stderr=True), default=False)
    except EOFError:
        agreed = False
    if not agreed:
        raise CommandError("Nothing was changed. --yes does it without asking.")


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a long work is, on standard error where that is a terminal; lend what tells it so."""
    with ProgressBars() as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def plain(row: Any) -> dict[str, Any]:
    """Return a row with its times to the second, for a table."""
    return {
        name: value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else value
        for name, value in dict(row).items()
    }
