"""The query API put together with its database."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from uuid import UUID

from prometheus_client import CollectorRegistry
from prometheus_client.core import REGISTRY
from pydantic import SecretStr
from starlette.applications import Starlette

from application.inbox import MarkNotificationRead
from infrastructure.bootstrap import Servers, event_store
from infrastructure.eventstore.store import EventStore
from infrastructure.health import CheckResult, Health, HealthChecks
from infrastructure.http.app import create_app
from infrastructure.postgres.datastore import read_model_engine
from infrastructure.postgres.views import PostgresQueries
from infrastructure.settings import Settings

_POOL_SIZE = 10


def query_app(
    servers: Servers, settings: Settings, api_key: SecretStr, *, registry: CollectorRegistry = REGISTRY
) -> Starlette:
    """Return the application on the database that `servers` names; it starts although that is away."""
    engine = read_model_engine(servers.database_url, pool_size=_POOL_SIZE, statement_timeout_s=5)
    queries = PostgresQueries(engine)
    health = HealthChecks()

    async def database() -> CheckResult:
        await queries.alive()
        return CheckResult(Health.OK)

    @lru_cache(maxsize=1)
    def store() -> EventStore:
        return event_store(servers.database_url)

    def mark_read(notification_id: UUID, teacher_id: str, *, correlation_id: str | None) -> None:
        MarkNotificationRead(store())(notification_id, teacher_id, correlation_id=correlation_id)

    async def close() -> None:
        await engine.dispose()
        if store.cache_info().currsize:
            await asyncio.to_thread(store().close)

    health.register("database", database)
    return create_app(
        batches=queries,
        inbox=queries,
        mark_read=mark_read,
        dead_letters=queries,
        health=health,
        api_key=api_key.get_secret_value(),
        allowed_services=settings.allowed_services,
        registry=registry,
        environment=settings.environment,
        on_shutdown=close,
    )
