"""What the log says of messages that were put aside: where they lie and what they belong to, not what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from application.deciding import Intake
from application.topics import SPELLCHECK_RESULTS
from domain.batch import BatchAggregate
from infrastructure.intake.metrics import IntakeMeter
from infrastructure.role_status import RoleStatus
from infrastructure.telemetry import RoleMetrics
from tests.support.fake_store import FakeEventStore
from tests.support.ingesting import Ingestion, dead_letter, intakes_of, messages_of, small_batch


class Metered:
    """Intakes ingested into a fake store, and what is told of them."""

    def __init__(self, intakes: Sequence[Intake]) -> None:
        self.registry = CollectorRegistry()
        self.status = RoleStatus("ingester")
        meter = IntakeMeter(RoleMetrics(self.registry), self.status)
        taken = Ingestion(FakeEventStore()).insist(intakes)
        times = [(i.message.topic, i.message.partition, i.message.timestamp_ms) for i in intakes]
        with capture_logs(processors=[merge_contextvars]) as lines:
            meter.taken_in(taken, times, 0.01)
        self.lines: list[Any] = list(lines)

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_a_dead_letter_is_told_with_its_coordinates() -> None:
    metered = Metered([dead_letter(SPELLCHECK_RESULTS, partition=7)])

    assert metered.lines == [
        {
            "event": "ingest.dead_letter",
            "log_level": "warning",
            "reason": "not_json",
            "topic": SPELLCHECK_RESULTS,
            "partition": 7,
            "offset": 0,
            "event_id": None,
            "correlation_id": None,
        }
    ]
    assert metered.count("ras_dead_letters_total", reason="not_json") == 1
    assert metered.count("ras_ingest_messages_total", outcome="dead_lettered") == 1
    assert metered.status.handled == {f"{SPELLCHECK_RESULTS}/7": 1}


def test_a_parked_message_is_told_with_its_correlation_id_and_without_the_words_of_the_fault(
    monkeypatch: Any,
) -> None:
    def fails(_batch: BatchAggregate, **facts: Any) -> None:
        raise KeyError(facts["essay_id"])

    monkeypatch.setattr(BatchAggregate, "record_spellcheck", fails)
    script = small_batch(essays=1)

    metered = Metered(intakes_of(messages_of(script)))

    parked, *behind = metered.lines
    assert (parked["event"], parked["fault"]) == ("ingest.parked", "KeyError")
    assert {line["fault"] for line in behind} <= {"waits behind a parked message"}
    assert {line["correlation_id"] for line in metered.lines} == {script.correlation_id}
    assert script.essay_ids[0] not in str(metered.lines)


def test_of_a_flood_the_log_tells_some_and_counts_the_others() -> None:
    metered = Metered([dead_letter(SPELLCHECK_RESULTS, partition=n) for n in range(50)])

    assert len(metered.lines) == 21
    assert metered.lines[-1] == {"event": "ingest.put_aside", "log_level": "warning", "more": 30}
    assert metered.count("ras_dead_letters_total", reason="not_json") == 50


def test_a_quiet_micro_batch_is_not_worth_a_line() -> None:
    assert Metered(intakes_of(messages_of(small_batch()))).lines == []
