"""Spans of the messages that come in and go out.

A message that belongs to a recorded trace gets a span when it has been ingested, as a child of the span that its
sender named. What goes out gets one too, a child of the same sender's: `traceparent` of the message that
caused an event is stored with the event, and so the trace goes on however long after. The two are
siblings, because what is stored must not depend on whether somebody looks on.

Spans are made after the fact, with the times of the transaction: nothing is open while messages wait, and
a micro-batch that is done again leaves no span of its first try.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from application.deciding import Intake
from application.envelopes import OutgoingMessage
from application.tracing import HEADER, is_sampled
from application.translate import Rejection

_PROPAGATOR: Final = TraceContextTextMapPropagator()


class MessageTracer:
    """Makes the spans of messages with `tracer`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def taken_in(self, intakes: Sequence[Intake], *, started_ns: int, ended_ns: int) -> None:
        """Make a span for each of `intakes` that somebody records; times in nanoseconds since 1970."""
        for intake in intakes:
            message, outcome = intake.message, intake.outcome
            parent = outcome.causation.traceparent
            if parent is None or not is_sampled(parent):
                continue
            span = self._tracer.start_span(
                f"process {message.topic}",
                context=_context(parent),
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "kafka",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": message.topic,
                    "messaging.destination.partition.id": str(message.partition),
                    "messaging.kafka.offset": message.offset,
                    "messaging.message.conversation_id": outcome.causation.correlation_id or "",
                    "messaging.batch.message_count": len(intakes),
                },
                start_time=started_ns,
            )
            if isinstance(outcome, Rejection):
                span.set_status(StatusCode.ERROR, f"dead letter: {outcome.reason}")
            span.end(ended_ns)

    @contextmanager
    def sending(self, messages: Sequence[OutgoingMessage]) -> Iterator[list[OutgoingMessage]]:
        """Lend `messages` with the context of their own span in the header; the block sends them.

        What is in the envelope stays: the same event gives the same bytes.
        """
        spans = [self._sending(message) for message in messages]
        try:
            yield [
                message._replace(headers=_with_context(message.headers, span.get_span_context()))
                for message, span in zip(messages, spans, strict=True)
            ]
        except BaseException as error:
            for span in spans:
                span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            for span in spans:
                span.end()

    def _sending(self, message: OutgoingMessage) -> Span:
        parent = next((value.decode() for name, value in message.headers if name == HEADER), None)
        return self._tracer.start_span(
            f"send {message.topic}",
            context=Context() if parent is None else _context(parent),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.destination.name": message.topic,
            },
        )


def _context(traceparent: str) -> Context:
    return _PROPAGATOR.extract({HEADER: traceparent}, context=Context())


def _with_context(headers: tuple[tuple[str, bytes], ...], span: SpanContext) -> tuple[tuple[str, bytes], ...]:
    own = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return (*(header for header in headers if header[0] != HEADER), (HEADER, own.encode()))
