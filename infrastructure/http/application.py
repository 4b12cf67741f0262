"""Puts an application together: routes, and the middleware for every request."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from infrastructure.http.binding import Binding
from infrastructure.http.browser_headers import BrowserHeadersMiddleware
from infrastructure.http.compression import CompressionMiddleware
from infrastructure.http.database_problems import HANDLERS
from infrastructure.http.middleware import (
    AuthenticationMiddleware,
    CorrelationMiddleware,
    MetricsMiddleware,
)
from infrastructure.http.openapi import documentation_routes
from infrastructure.http.service_keys import ServiceKeysFile
from infrastructure.tracing.requests import TracingMiddleware
from infrastructure.tracing.setup import current_tracer

PREFIX: Final = "/internal/"
OPERATIONS: Final = "/internal/v1/ops/"
"""Raw messages, and what changes something, are for operators' services only."""


def assembled(
    routes: Sequence[Route],
    *,
    described: dict[str, Any],
    api_keys: Sequence[str],
    allowed_services: Sequence[str],
    services_setting: str = "RAS_ALLOWED_SERVICES",
    operators: Sequence[str] = (),
    service_keys: ServiceKeysFile | None = None,
    binding: Binding | None = None,
    registry: CollectorRegistry,
    on_shutdown: Callable[[], Awaitable[None]],
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return an application of `routes` with what all of ours do: traces, correlation, metrics, keys, problems.

    `described` is the OpenAPI document of the routes; `more` are not in it.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await on_shutdown()

    tracer = current_tracer()
    tracing = [Middleware(TracingMiddleware, prefix=PREFIX, tracer=tracer)] if tracer is not None else []
    app = Starlette(
        routes=[*routes, *documentation_routes(described), *more],
        middleware=[
            *tracing,
            Middleware(CorrelationMiddleware),
            Middleware(MetricsMiddleware, registry=registry),
            Middleware(
                AuthenticationMiddleware,
                prefix=PREFIX,
                api_keys=api_keys,
                services=allowed_services,
                services_setting=services_setting,
                operations=OPERATIONS,
                operators=operators,
                service_keys=service_keys,
                binding=binding,
            ),
            Middleware(CompressionMiddleware),
            # Inside compression, which leaves alone what is not to be stored.
            Middleware(BrowserHeadersMiddleware, prefix=PREFIX),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    # An address with a slash at the end is another address. A redirect would name `http://` behind a proxy with TLS.
    app.router.redirect_slashes = False
    return app
