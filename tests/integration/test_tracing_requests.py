"""Spans of requests: one each, named by the route and never by what stands in its place."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from infrastructure.tracing.requests import TracingMiddleware
from tests.support.spans import KeptSpans, parent_id, traceparent

UPSTREAM = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def asked(spans: KeptSpans, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    async def answer(request: Request) -> PlainTextResponse:
        span = trace.get_current_span().get_span_context()
        return PlainTextResponse(f"{span.span_id:016x}", status_code=request.path_params["status"])

    async def broken(_request: Request) -> PlainTextResponse:
        raise RuntimeError("a fault of ours")

    app = Starlette(
        routes=[
            Route("/internal/of/{user_id}/{status:int}", answer),
            Route("/internal/broken", broken),
            Route("/healthz/{status:int}", answer),
        ],
        middleware=[Middleware(TracingMiddleware, prefix="/internal/", tracer=spans.tracer)],
    )

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ras.test") as client:
        return await client.get(path, headers=headers)


async def test_a_request_goes_on_the_trace_of_its_caller() -> None:
    spans = KeptSpans()

    answer = await asked(spans, "/internal/of/teacher-0007/200", {"traceparent": UPSTREAM})

    [span] = spans.of("4bf92f3577b34da6a3ce929d0e0e4736")
    assert (span.name, span.kind) == ("GET /internal/of/{user_id}/{status:int}", SpanKind.SERVER)
    assert parent_id(span) == "00f067aa0ba902b7"
    assert answer.text == traceparent(span).split("-")[2], "what is called within is not a child"
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "http.route": "/internal/of/{user_id}/{status:int}",
    }
    assert "teacher-0007" not in span.to_json()


async def test_a_request_without_a_trace_begins_one_and_garbage_does_not_matter() -> None:
    spans = KeptSpans()

    await asked(spans, "/internal/of/teacher-0007/404", {"traceparent": "00-garbage"})
    await asked(spans, "/internal/nowhere/teacher-0007")

    missing, nowhere = spans.all()
    assert (missing.parent, missing.status.status_code) == (None, StatusCode.UNSET)
    assert (nowhere.name, nowhere.parent) == ("GET", None)


async def test_a_fault_of_ours_is_an_error() -> None:
    spans = KeptSpans()

    await asked(spans, "/internal/of/teacher-0007/503")
    await asked(spans, "/internal/broken")

    assert [span.status.status_code for span in spans.all()] == [StatusCode.ERROR, StatusCode.ERROR]


async def test_health_is_not_traced() -> None:
    spans = KeptSpans()

    assert (await asked(spans, "/healthz/200")).text == "0" * 16
    assert spans.all() == []
