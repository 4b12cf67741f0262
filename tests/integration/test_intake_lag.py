"""How far the ingester is behind in seconds: bounds that hold without asking Kafka for a message."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from infrastructure.intake.lag import IntakeLag
from infrastructure.telemetry import RoleMetrics

TOPIC = "huleedu.essay.spellcheck.results.v1"


class Shown:
    """A lag with a clock that tests move, and what the gauges show."""

    def __init__(self) -> None:
        self.now = datetime(2026, 2, 3, 8, tzinfo=UTC).timestamp()
        self.registry = CollectorRegistry()
        self.lag = IntakeLag(RoleMetrics(self.registry), lambda: self.now)

    def take_in(self, *, sent_at: float) -> None:
        self.lag.taken_in([(TOPIC, 0, int(sent_at * 1000))])

    @property
    def seconds(self) -> float | None:
        return self.registry.get_sample_value("ras_ingest_lag_seconds", {"topic": TOPIC, "partition": "0"})


def test_nobody_is_behind_at_the_end() -> None:
    shown = Shown()
    shown.take_in(sent_at=shown.now - 500)
    assert shown.lag.show(TOPIC, 0, 0) == 0
    assert shown.seconds == 0


def test_in_a_backlog_the_next_message_is_as_old_as_the_last_one_at_most() -> None:
    shown = Shown()
    shown.take_in(sent_at=shown.now - 500)
    shown.lag.show(TOPIC, 0, 40)
    assert shown.seconds == 500
    shown.take_in(sent_at=shown.now - 20)
    shown.lag.show(TOPIC, 0, 40)
    assert shown.seconds == 20


def test_after_a_quiet_night_the_first_message_is_not_a_night_old() -> None:
    shown = Shown()
    shown.take_in(sent_at=shown.now - 30_000)
    shown.lag.show(TOPIC, 0, 0)
    shown.now += 5
    shown.lag.show(TOPIC, 0, 1)
    assert shown.seconds == 5


def test_where_nothing_is_known_yet_nothing_is_claimed() -> None:
    shown = Shown()
    shown.lag.show(TOPIC, 0, 1000)
    assert shown.seconds == 0


def test_a_partition_that_went_to_another_is_not_shown_any_more() -> None:
    shown = Shown()
    shown.lag.forget(TOPIC, 0)
    shown.lag.show(TOPIC, 0, 3)
    shown.lag.forget(TOPIC, 0)
    assert shown.seconds is None
