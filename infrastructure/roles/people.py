"""Puts together what people use of `ras serve`: the live stream and the pages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from starlette.routing import BaseRoute

from application.enrichment import Assessments
from application.explanation import ExplainReadiness
from application.history import BatchHistory
from infrastructure.check.background_runs import CheckRuns
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.http.identity import user_tokens
from infrastructure.http.operators.accounts import ReadOutbox
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.query.inbox import MarkRead
from infrastructure.http.sessions import Sessions, Tickets
from infrastructure.http.waiting import Waiting
from infrastructure.live.access import Access
from infrastructure.live.feed import Feed
from infrastructure.live.hub import Hub
from infrastructure.live.routes import live_routes
from infrastructure.operations.progress import read_progress
from infrastructure.pages.examiner import ExaminerPages
from infrastructure.pages.job_reports import JobReports
from infrastructure.pages.letters import LetterPages
from infrastructure.pages.openid import OpenIdSignIn
from infrastructure.pages.operator import OperatorPages
from infrastructure.pages.rendering import Renderer
from infrastructure.pages.sign_in import sign_in_routes
from infrastructure.pages.teacher import TeacherPages
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.pages import PageQueries
from infrastructure.queries.read_model_queries import Ask
from infrastructure.roles.bootstrap import listener
from infrastructure.settings import Servers, Settings
from projections.dead_letters import dead_letters
from projections.teacher_inbox import teacher_inbox


@dataclass(frozen=True, slots=True)
class Work:
    """What the pages share with the API: looking back, and what changes something."""

    assessments: Assessments
    history_in_swedish: BatchHistory
    history: BatchHistory
    explain: ExplainReadiness
    mark_read: MarkRead
    actions: OperatorActions
    waiting: Waiting
    read_outbox: ReadOutbox
    check_runs: CheckRuns


def people_routes(
    servers: Servers,
    settings: Settings,
    queries: PostgresQueries,
    ask: Ask,
    work: Work,
    registry: CollectorRegistry,
    stopping: asyncio.Event,
) -> tuple[Hub, list[BaseRoute]]:
    """Return the hub of the live stream, which the caller closes, and the routes."""
    keys = [key.get_secret_value() for key in settings.session_keys] or [secrets.token_urlsafe(48)]
    is_secure = not is_loopback(settings.api_host)
    sessions = Sessions(keys, secure=is_secure)
    log = NotificationLog(servers.database_url, event_codec(), teacher_inbox.topics)
    hub = Hub(
        Feed(ask, log, queries.outlines),
        listener(servers, settings),
        stopping,
        streams_per_teacher=settings.streams_per_teacher,
    )
    Gauge("ras_live_streams", "Live streams that are open.", registry=registry).set_function(
        lambda: hub.streams
    )
    verifier, tickets = user_tokens(settings), Tickets(keys, ask)
    access = Access(verifier, tickets, sessions)
    provider = OpenIdSignIn(settings, keys, secure=is_secure) if settings.oidc_issuer else None
    renderer = Renderer(sessions, heartbeat_s=settings.stream_heartbeat_s, has_provider=provider is not None)
    pages = PageQueries(ask)

    async def inbox_shown() -> None:
        await work.waiting.shown(teacher_inbox.name)

    teacher = TeacherPages(
        renderer,
        hub,
        queries,
        queries,
        queries.progress,
        pages,
        work.assessments,
        {"en": work.history, "sv": work.history_in_swedish},
        work.explain,
        lambda notification_id, teacher_id: work.mark_read(notification_id, teacher_id, correlation_id=None),
        inbox_shown,
    )

    async def status() -> tuple[Sequence[Any], Sequence[str]]:
        return await read_progress(servers, settings.transactional_id)

    async def letters_shown() -> None:
        await work.waiting.shown(dead_letters.name)

    operator = OperatorPages(renderer, status, work.read_outbox, pages, work.check_runs)
    return hub, [
        *live_routes(hub, access, heartbeat_s=settings.stream_heartbeat_s),
        *sign_in_routes(
            renderer, sessions, tickets, verifier, portals=settings.sign_in_origins, provider=provider
        ),
        *teacher.routes(),
        *operator.routes(),
        *LetterPages(renderer, queries, work.actions, letters_shown).routes(),
        *ExaminerPages(renderer, pages, JobReports(servers)).routes(),
    ]


def is_loopback(host: str) -> bool:
    """Whether a server at `host` is reached from this machine only, where there is no TLS."""
    return host in {"localhost", "::1"} or host.startswith("127.")
