"""Health and metrics over HTTP: the same three responses for the API and for roles without one."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from application.responses.service import Health as HealthBody
from infrastructure.health import Health, HealthChecks, overall
from infrastructure.http.browser_headers import CURRENT
from infrastructure.http.operation import OpenOperation
from infrastructure.http.problems import HANDLERS

HEALTHZ: Final = OpenOperation("/healthz", "Health, as upstream asks for it", answer=HealthBody, also=[503])
LIVE: Final = OpenOperation("/healthz/live", "The process lives", answer=HealthBody)
READY: Final = OpenOperation("/healthz/ready", "Ready, with reasons", answer=HealthBody, also=[503])
METRICS: Final = OpenOperation[None]("/metrics", "Prometheus metrics", answer=None, media_type="text/plain")
HEALTH_OPERATIONS: Final = (HEALTHZ, LIVE, READY, METRICS)


def health_routes(
    checks: HealthChecks,
    registry: CollectorRegistry,
    *,
    environment: str = "",
    service: str = "result_aggregator_service",
) -> list[Route]:
    """Return `/healthz`, `/healthz/live`, `/healthz/ready` and `/metrics`; none asks for a key."""

    async def live(_request: Request) -> Response:
        if stalled := checks.stalled():
            return JSONResponse({"status": "stalled", "roles": stalled}, status_code=503, headers=CURRENT)
        return JSONResponse({"status": "alive"}, headers=CURRENT)

    async def ready(_request: Request) -> Response:
        results = await checks.run()
        state = overall(results)
        body = {
            "status": state,
            "checks": [
                {"name": name, "status": result.health, "reason": result.reason}
                for name, result in results.items()
            ],
        }
        return JSONResponse(body, status_code=503 if state is Health.FAILED else 200, headers=CURRENT)

    async def healthz(_request: Request) -> Response:
        results = await checks.run()
        state = overall(results)
        reasons = "; ".join(f"{name}: {r.reason}" for name, r in results.items() if r.reason)
        body = {
            "service": service,
            "status": "unhealthy" if state is Health.FAILED else "healthy",
            "message": reasons or "All is well.",
            "version": version("result-aggregator-service"),
            "environment": environment,
            "checks": {name: result.health is not Health.FAILED for name, result in results.items()},
            "dependencies": {
                name: {"status": result.health, "reason": result.reason} for name, result in results.items()
            },
        }
        return JSONResponse(body, status_code=503 if state is Health.FAILED else 200, headers=CURRENT)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST, headers=CURRENT)

    return [HEALTHZ.route(healthz), LIVE.route(live), READY.route(ready), METRICS.route(metrics)]


def health_app(checks: HealthChecks, registry: CollectorRegistry) -> Starlette:
    """Return the whole HTTP side of a role without API."""
    app = Starlette(routes=health_routes(checks, registry), exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    return app
