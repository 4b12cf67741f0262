"""Spans kept in memory, by the SDK's own exporter."""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer


class KeptSpans:
    """A tracer of this test's own; the process's stays as it is."""

    def __init__(self) -> None:
        self._exporter: Final = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Final[Tracer] = provider.get_tracer("tests")

    def of(self, trace_id: str) -> list[ReadableSpan]:
        """Return the ended spans of one trace, in the order of their ends."""
        return [s for s in self.all() if s.context is not None and f"{s.context.trace_id:032x}" == trace_id]

    def all(self) -> list[ReadableSpan]:
        """Return all ended spans."""
        return list(self._exporter.get_finished_spans())


def traceparent(span: ReadableSpan) -> str:
    """Return the context that names `span` as the parent."""
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def parent_id(span: ReadableSpan) -> str | None:
    """Return the id of the span's parent, None for the first of a trace."""
    return None if span.parent is None else f"{span.parent.span_id:016x}"
