"""One trace from upstream's message to the teacher's notification, over the real database and broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from application import topics
from infrastructure.demo.message import UpstreamMessage
from infrastructure.role_status import RoleStatus
from infrastructure.roles import bootstrap
from infrastructure.settings import Servers, Settings
from infrastructure.telemetry import RoleMetrics
from tests.support.accounts import taken_in
from tests.support.following import until
from tests.support.ingesting import messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe, opened_store
from tests.support.role_process import Installation
from tests.support.spans import KeptSpans, parent_id, traceparent
from tests.support.topics import Record, Topics

SAMPLED = "11111111111111111111111111111111"
UNSAMPLED = "22222222222222222222222222222222"
UPSTREAMS_SPAN = "00f067aa0ba902b7"


def sent_in_a_trace(messages: Sequence[UpstreamMessage], trace_id: str, flags: str) -> list[UpstreamMessage]:
    """Put each message into one trace by its header, as the agent of a sender does."""
    header = ("traceparent", f"00-{trace_id}-{UPSTREAMS_SPAN}-{flags}".encode())
    return [replace(message, headers=(*message.headers, header)) for message in messages]


async def run_roles(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, messages: int, spans: KeptSpans | None
) -> list[Record]:
    """Run ingester and publisher here until `messages` are in and told of; return what went out."""
    settings = Settings(
        _env_file=None,
        consumer_group=ras.consumer_group,
        transactional_id=ras.transactional_id,
        poll_interval_s=0.1,
    )
    servers = Servers(ras.database_url, ras.bootstrap_servers)
    tracer = None if spans is None else spans.tracer

    def published() -> bool:
        head: int = store.value("SELECT max(notification_id) FROM ras.stored_events")
        return store.positions().get(f"publisher/{ras.transactional_id}") == head

    metrics = RoleMetrics(CollectorRegistry())
    wakes = bootstrap.listener(servers, settings)
    with opened_store(ras.database_url) as opened:
        ingester = bootstrap.ingester(
            servers, opened, settings, metrics, RoleStatus("ingester"), tracer=tracer
        )
        publisher = bootstrap.publisher(
            servers, wakes, settings, metrics, RoleStatus("publisher"), tracer=tracer
        )
        listening = asyncio.create_task(wakes.run())
        running = [asyncio.create_task(ingester.run()), asyncio.create_task(publisher.run())]
        try:
            await until(lambda: taken_in(store) == messages, what="all is in", state=store.counts)
            await until(published, what="all is out", state=store.positions)
        finally:
            ingester.stop()
            publisher.stop()
            wakes.stop()
            await asyncio.gather(*running, listening)
    return ras_topics.read()


async def test_one_trace_runs_from_upstreams_message_to_the_teachers_notification(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    spans = KeptSpans()
    recorded = sent_in_a_trace(messages_of(small_batch("recorded")), SAMPLED, "01")
    quiet = sent_in_a_trace(messages_of(small_batch("quiet")), UNSAMPLED, "00")
    broken = sent_in_a_trace([replace(recorded[0], value=b"not json")], SAMPLED, "01")
    ras_topics.send([*recorded, *quiet, *broken])

    out = await run_roles(ras, ras_topics, store, len(recorded) + len(quiet) + 1, spans)

    incoming = [span for span in spans.of(SAMPLED) if span.kind is SpanKind.CONSUMER]
    outgoing = [span for span in spans.of(SAMPLED) if span.kind is SpanKind.PRODUCER]
    assert len(incoming) == len(recorded) + 1, "each message that somebody records has its span"
    assert {parent_id(span) for span in incoming + outgoing} == {UPSTREAMS_SPAN}
    assert [span.name for span in incoming if span.status.status_code is StatusCode.ERROR] == [
        f"process {recorded[0].topic}"
    ]
    in_the_trace = [record for record in out if SAMPLED in record.headers["traceparent"]]
    assert {record.topic for record in in_the_trace} == set(topics.OUTPUT_TOPICS), (
        "a dead letter's notice too"
    )
    assert sorted(r.headers["traceparent"] for r in in_the_trace) == sorted(map(traceparent, outgoing))
    for record in in_the_trace:
        assert record.envelope["metadata"]["traceparent"] == f"00-{SAMPLED}-{UPSTREAMS_SPAN}-01"
    assert spans.of(UNSAMPLED) == [], "what its sender does not record is not recorded here"
    carried = [r.headers["traceparent"] for r in out if UNSAMPLED in r.headers["traceparent"]]
    assert len(carried) == len(in_the_trace) - 1, "of these none was broken"
    assert all(context.endswith("-00") for context in carried)


async def test_without_tracing_the_context_passes_through_unchanged(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    messages = sent_in_a_trace(messages_of(small_batch()), SAMPLED, "01")
    ras_topics.send(messages)

    out = await run_roles(ras, ras_topics, store, len(messages), None)

    assert {record.topic for record in out} == set(topics.ANNOUNCEMENT_TOPICS)
    assert {record.headers["traceparent"] for record in out} == {f"00-{SAMPLED}-{UPSTREAMS_SPAN}-01"}
