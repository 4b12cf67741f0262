"""A span for each request to the API. Routes are named by their template: a path may hold a user's id."""

from __future__ import annotations

from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_FIRST_FAULT: Final = 500


class TracingMiddleware:
    """Makes the spans of requests to anything under `prefix`: health and metrics are asked all the time."""

    def __init__(self, app: ASGIApp, *, prefix: str, tracer: Tracer) -> None:
        self._app = app
        self._prefix = prefix
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        span = self._tracer.start_span(
            scope["method"],
            context=_PROPAGATOR.extract(dict(headers), context=Context()),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.scheme": scope.get("scheme", "http")},
        )

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= _FIRST_FAULT:
                    span.set_status(StatusCode.ERROR)
            await send(message)

        with use_span(span, end_on_exit=True, record_exception=False):
            try:
                await self._app(scope, receive, respond)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    span.set_attribute("http.route", route)
                    span.update_name(f"{scope['method']} {route}")
