"""Puts the assessment app together with its database."""

from __future__ import annotations

# Imported by the first statistics otherwise, which would take half a second longer than they do.
import scipy.sparse  # noqa: F401
from prometheus_client import CollectorRegistry
from prometheus_client.core import REGISTRY
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette

from infrastructure.health import CheckResult, Health, HealthChecks
from infrastructure.http.application import assembled
from infrastructure.http.assessments.answers import KEPT_BYTES, JudgingAnswers
from infrastructure.http.assessments.metrics import JudgingMetrics
from infrastructure.http.assessments.routes import assessment_routes, assessments_document
from infrastructure.http.binding import Binding
from infrastructure.http.health import health_routes
from infrastructure.http.identity import user_tokens
from infrastructure.http.service_keys import service_keys_file
from infrastructure.postgres import faults
from infrastructure.postgres.connections import read_model_engine
from infrastructure.queries.assessments import PostgresAssessments
from infrastructure.queries.ownership import OwnershipOverEngine
from infrastructure.queries.read_model_queries import EngineReads
from infrastructure.roles.accepted_keys import accepted_keys
from infrastructure.settings import Servers, Settings
from projections.assessments import assessments

_POOL_SIZE = 5


def assessment_app(
    servers: Servers,
    settings: Settings,
    api_key: SecretStr | None,
    *,
    registry: CollectorRegistry = REGISTRY,
    kept_bytes: int = KEPT_BYTES,
) -> Starlette:
    """Return the application on the database that `servers` names; it starts although that is unavailable.

    `kept_bytes` bounds each kind of kept answers; with 0 each request is computed again.
    """
    engine = read_model_engine(servers.database_url, pool_size=_POOL_SIZE)
    queries = PostgresAssessments(engine)
    answers = JudgingAnswers(queries, JudgingMetrics(registry), kept_bytes=kept_bytes)
    health = HealthChecks()

    async def database() -> CheckResult:
        try:
            unfit = (await queries.unfit_read_models()).get(assessments.name)
        except DBAPIError as error:
            return CheckResult(Health.FAILED, faults.public_sentence(error))
        return CheckResult(Health.DEGRADED, unfit) if unfit else CheckResult(Health.OK)

    async def close() -> None:
        answers.close()
        await engine.dispose()

    owners = OwnershipOverEngine(EngineReads(engine).rows)
    service_keys = service_keys_file(settings.service_keys_file)
    if service_keys is not None:
        health.register("service_keys", service_keys.health)
    health.register("database", database)
    return assembled(
        [
            *assessment_routes(
                answers, random_share=settings.next_pairs_random_share, locale=settings.name_locale
            ),
            *health_routes(
                health, registry, environment=settings.environment, service="result_aggregator_assessments"
            ),
        ],
        described=assessments_document(),
        api_keys=accepted_keys(settings, api_key),
        allowed_services=settings.assessments_allowed_services,
        services_setting="RAS_ASSESSMENTS_ALLOWED_SERVICES",
        service_keys=service_keys,
        binding=Binding(user_tokens(settings), owners),
        registry=registry,
        on_shutdown=close,
    )
