"""Running a role: wait for the database, check the tables, run until asked to stop.

Every role behaves alike. SIGTERM and Ctrl-C end it after the transaction at hand, and within
RAS_SHUTDOWN_TIMEOUT_S by force; a second one ends it at once. While a server is unavailable it waits and says so in its health; what waiting cannot mend ends it with a
sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import psycopg
import structlog

from infrastructure.eventstore.store import TRANSIENT_ERRORS, EventStore
from infrastructure.gc_pacing import gc_for_connections
from infrastructure.postgres import faults, schema_version
from infrastructure.postgres.role_reports import reporting
from infrastructure.resilience import Backoff
from infrastructure.role_status import STALLED_AFTER_S, RoleStatus
from infrastructure.roles import bootstrap
from infrastructure.roles.ending import end_within
from infrastructure.roles.sockets import listening
from infrastructure.settings import Servers, Settings
from infrastructure.telemetry import RoleMetrics
from infrastructure.tracing.setup import current_tracer

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from infrastructure.eventstore.log import LogListener
    from infrastructure.followers.follower import Follower
    from infrastructure.roles.http_server import EmbeddedServer

_log = structlog.get_logger(__name__)

_BEYOND_REQUESTS_S = 2.0
"""uvicorn ends requests at the same time limit; what comes after needs a moment."""

_DATABASE_AWAY = (psycopg.OperationalError, *TRANSIENT_ERRORS)


async def ingest(settings: Settings, servers: Servers) -> None:
    """Run an ingester."""
    status = RoleStatus("ingester")
    metrics = RoleMetrics()
    async with _role(settings, [status]) as stopping:
        if await _database_is_ready(servers, [status], settings, stopping):
            store = await _opened(servers, status, settings, stopping)
            if store is not None:
                ingester = bootstrap.ingester(
                    servers, store, settings, metrics, status, tracer=current_tracer()
                )
                try:
                    async with reporting(servers.database_url, [status]):
                        await _until(stopping, ingester.stop, _noting(status, ingester.run))
                finally:
                    await asyncio.to_thread(store.close)


async def publish(
    settings: Settings, servers: Servers, *, resume_at: int | None = None, after_restore: bool = False
) -> None:
    """Run the publisher."""
    status = RoleStatus("publisher", stalled_after_s=max(STALLED_AFTER_S, 2 * settings.publish_timeout_s))
    async with _role(settings, [status]) as stopping:
        if await _database_is_ready(servers, [status], settings, stopping):
            wakes = bootstrap.listener(servers, settings)
            follower = bootstrap.publisher(
                servers,
                wakes,
                settings,
                RoleMetrics(),
                status,
                resume_at=resume_at,
                after_restore=after_restore,
                tracer=current_tracer(),
            )
            async with reporting(servers.database_url, [status]):
                await _follow(stopping, wakes, [follower], lambda only: _noting(only.status, only.run)())


async def project(settings: Settings, servers: Servers) -> None:
    """Run the projections."""
    wakes = bootstrap.listener(servers, settings)
    followers = bootstrap.projectors(servers, wakes, settings, RoleMetrics())
    statuses = [follower.status for follower in followers]
    async with _role(settings, statuses) as stopping:
        if await _database_is_ready(servers, statuses, settings, stopping):
            async with reporting(servers.database_url, statuses):
                await _follow(stopping, wakes, followers, lambda each: each.run_alone())


async def serve(
    settings: Settings,
    servers: Servers,
    app: Starlette,
    *,
    sockets: Sequence[socket.socket],
    stopping: asyncio.Event | None = None,
) -> None:
    """Run an HTTP application on bound `sockets`; it starts although the database is unavailable.

    `stopping` is set when the end is asked for, before requests under way are waited for.
    """
    from infrastructure.roles.http_server import api_server

    # It reports each WebSocket with its address, and so with the token in it.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    with contextlib.suppress(*_DATABASE_AWAY):
        await asyncio.to_thread(schema_version.check, servers.database_url)
    # uvicorn by itself raises the signal again once it has stopped: an asked-for end would look like a crash.
    server = api_server(app, settings)
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stopping is not None:
            stopping.set()
        end_within(settings.shutdown_timeout_s + _BEYOND_REQUESTS_S)
        server.handle_exit(number, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        with gc_for_connections():
            await server.answer(sockets)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _follow(
    stopping: asyncio.Event,
    wakes: LogListener,
    followers: Sequence[Follower],
    run_one: Callable[[Follower], Awaitable[None]],
) -> None:
    def stop() -> None:
        wakes.stop()
        for follower in followers:
            follower.stop()

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wakes.run())
            for follower in followers:
                group.create_task(_ending_all(run_one(follower), stop))

    await _until(stopping, stop, run)


async def _ending_all(running: Awaitable[None], stop: Callable[[], None]) -> None:
    try:
        await running
    finally:
        stop()


def _noting(status: RoleStatus, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Return `run`, which then says in `status` what ended it, for `ras status` to show afterwards."""

    async def noted() -> None:
        try:
            await run()
        except Exception as error:
            is_known = faults.fault_of(error) is not None
            status.failed(faults.sentence(error) if is_known else str(error) or type(error).__name__)
            raise

    return noted


async def _until(
    stopping: asyncio.Event, stop: Callable[[], None], run: Callable[[], Awaitable[None]]
) -> None:
    """Run until it ends by itself, or tell it to stop and wait for its end."""
    running = asyncio.ensure_future(run())
    asked = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        stop()
        await running
    finally:
        asked.cancel()
        if not running.done():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def _role(settings: Settings, statuses: Sequence[RoleStatus]) -> AsyncIterator[asyncio.Event]:
    """Lend the event that says "stop", set by signals; serve health and metrics meanwhile."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    here = asyncio.current_task()

    def on_signal() -> None:
        if stopping.is_set() and here is not None:
            here.cancel()
        elif not stopping.is_set():
            end_within(settings.shutdown_timeout_s)
        stopping.set()

    serving = _serving_health(settings, statuses)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield stopping
    finally:
        if serving is not None:
            server, answering = serving
            server.should_exit = True
            await asyncio.gather(answering, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _serving_health(
    settings: Settings, statuses: Sequence[RoleStatus]
) -> tuple[EmbeddedServer, asyncio.Future[None]] | None:
    """Answer for health and metrics where the settings want it. Raises PortTakenError or SettingsError."""
    if settings.health_port is None:
        return None
    from infrastructure.roles.http_server import health_server

    sockets = listening(settings.api_host, settings.health_port, port_setting="RAS_HEALTH_PORT")
    server = health_server(statuses, settings)
    return server, asyncio.ensure_future(server.answer(sockets))


async def _database_is_ready(
    servers: Servers, statuses: Sequence[RoleStatus], settings: Settings, stopping: asyncio.Event
) -> bool:
    """Wait for the database and check its tables. Raises SchemaVersionError; False when told to stop."""
    backoff = Backoff(settings.retry_initial_s, settings.retry_max_s)
    for status in statuses:
        status.waits_for("the database, to check the tables")
    while not stopping.is_set():
        try:
            await asyncio.to_thread(schema_version.check, servers.database_url)
        except _DATABASE_AWAY as error:
            await _wait(statuses, error, backoff, stopping)
        else:
            return True
    return False


async def _opened(
    servers: Servers, status: RoleStatus, settings: Settings, stopping: asyncio.Event
) -> EventStore | None:
    status.waits_for("the database, to open the event store")
    backoff = Backoff(settings.retry_initial_s, settings.retry_max_s)
    while not stopping.is_set():
        try:
            return await asyncio.to_thread(bootstrap.event_store, servers.database_url)
        except _DATABASE_AWAY as error:
            await _wait([status], error, backoff, stopping)
    return None


async def _wait(
    statuses: Sequence[RoleStatus], error: Exception, backoff: Backoff, stopping: asyncio.Event
) -> None:
    reason = faults.sentence(error)
    if backoff.attempt == 0:
        _log.warning("role.waiting", roles=[status.name for status in statuses], reason=reason)
    for status in statuses:
        status.degraded(reason)
    await backoff.wait(stopping)
