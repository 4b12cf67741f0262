"""What people use of `ras serve`, put together: the live stream and the pages."""

from __future__ import annotations

import asyncio
import secrets

from prometheus_client import CollectorRegistry, Gauge
from starlette.routing import BaseRoute

from application.queries import BatchQueries
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.http.identity import TokenVerifier, keys_from
from infrastructure.http.sessions import Sessions, Tickets
from infrastructure.live.access import Access
from infrastructure.live.feed import Feed
from infrastructure.live.hub import Hub
from infrastructure.live.routes import live_routes
from infrastructure.queries.read_model_queries import Ask
from infrastructure.roles.bootstrap import listener
from infrastructure.settings import Servers, Settings
from projections.teacher_inbox import teacher_inbox


def people_routes(
    servers: Servers,
    settings: Settings,
    queries: BatchQueries,
    ask: Ask,
    registry: CollectorRegistry,
    stopping: asyncio.Event,
) -> tuple[Hub, list[BaseRoute]]:
    """Return the hub of the live stream, which the caller closes, and the routes."""
    keys = [key.get_secret_value() for key in settings.session_keys] or [secrets.token_urlsafe(48)]
    sessions = Sessions(keys, secure=not is_loopback(settings.api_host))
    log = NotificationLog(servers.database_url, event_codec(), teacher_inbox.topics)
    hub = Hub(
        Feed(ask, log, queries),
        listener(servers, settings),
        stopping,
        streams_per_teacher=settings.streams_per_teacher,
    )
    Gauge("ras_live_streams", "Live streams that are open.", registry=registry).set_function(
        lambda: hub.streams
    )
    access = Access(TokenVerifier(keys_from(settings), settings), Tickets(keys, ask), sessions)
    return hub, live_routes(hub, access)


def is_loopback(host: str) -> bool:
    """Whether a server at `host` is reached from this machine only, where there is no TLS."""
    return host in {"localhost", "::1"} or host.startswith("127.")
