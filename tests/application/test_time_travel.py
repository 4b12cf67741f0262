"""Times in requests, and which events count at one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from application.history import RecordedEvent
from application.time_travel import By, moment, up_to
from tests.support.given import minute, play, registered, spellchecked


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-07T08:15:30Z",
        "2026-03-07t08:15:30z",
        "2026-03-07 08:15:30+00:00",
        "2026-03-07T09:15:30+01:00",
        "2026-03-07T09:15:30 01:00",
        "2026-03-07T05:45:30-02:30",
        "2026-03-07T08:15:30.000000999Z",
    ],
)
def test_a_time_is_read_as_the_standard_writes_it(text: str) -> None:
    assert moment(text) == datetime(2026, 3, 7, 8, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-03-07",
        "2026-03-07T08:15:30",
        "2026-03-07T08:15Z",
        "20260307T081530Z",
        "2026-W10-6T08:15:30Z",
        "2026-02-30T08:15:30Z",
        "2026-03-07T24:15:30Z",
        "2026-03-07T08:15:61Z",
        "2026-03-07T08:15:30+25:00",
        "2026-03-07T08:15:30Z\n",
        "٢٠٢٦-03-07T08:15:30Z",
        "2026-06-30T23:58:60Z",  # not where one is inserted
        "2026-06-30T23:59:60+01:00",
        "2026-06-30T23:60:60Z",
        "\0" * 5,
        "9" * 100_000,
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time: write it as RFC 3339 says, with its zone") as refusal:
        moment(text)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    "text", ["2026-06-30T23:59:60Z", "2026-07-01T01:29:60+01:30", "2026-06-30T15:59:60.0-08:00"]
)
def test_a_leap_second_is_the_second_after_it(text: str) -> None:
    assert moment(text) == datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:60Z",
    ],
)
def test_a_time_beyond_the_years_that_there_are_is_said_to_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="in UTC it must be of the years 1 to 9999"):
        moment(text)


def test_an_event_received_later_ends_the_stretch_whatever_clock_stands_behind_it() -> None:
    events = play([registered("e1"), spellchecked("e1", at=10), spellchecked("e1", at=20)]).collect_events()
    received = [minute(100), minute(105), minute(104)]  # the third by an ingester whose clock runs behind
    recorded = [
        RecordedEvent(number, replace(event, causation=replace(event.causation, received_at=at)))
        for number, (event, at) in enumerate(zip(events, received, strict=True), start=1)
    ]

    known = [each.notification_id for each in up_to(recorded, minute(104), By.RECORDED)]
    assert known == [1]
    assert [each.notification_id for each in up_to(recorded, minute(105), By.RECORDED)] == [1, 2, 3]
    assert [each.notification_id for each in up_to(recorded, minute(10), By.HAPPENED)] == [1, 2]
