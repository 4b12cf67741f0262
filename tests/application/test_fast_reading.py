"""What the fast reader accepts, the contract accepts too, and both mean the same."""

from __future__ import annotations

import json
from datetime import datetime
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from application.messages import IncomingMessage
from application.topics import ESSAY_SLOT_ASSIGNED
from application.translate import FUTURE_TOLERANCE, Rejection, translate
from application.translated_messages import FAST_READERS, READERS, TranslatedMessage
from domain.times import in_utc
from tests.fuzz.extremes import EXTREMES, TIMES, as_bytes, spoiled
from tests.support.deciding import decide
from tests.support.upstream import (
    RECEIVED_AT,
    SCENARIO_NAMES,
    altered,
    every_place,
    fullest_messages,
    scenario,
)

_LAST_YEAR = (RECEIVED_AT + FUTURE_TOLERANCE).year
_SPOILED = 1_500


def _read(topic: str, value: bytes) -> Any | None:
    """Read a message fast, and hold what comes out against the model."""
    fast = FAST_READERS[topic].read(value, _LAST_YEAR)
    if fast is not None:
        try:
            slow = READERS[topic][0].model_validate_json(value)
        except ValidationError as error:
            raise AssertionError(f"read fast, although it breaks the contract: {value[:2000]!r}") from error
        _same(fast, slow, topic)
    return fast


def _same(fast: Any, slow: Any, place: str) -> None:
    if isinstance(slow, BaseModel):
        for name in type(slow).model_fields:
            _same(getattr(fast, name), getattr(slow, name), f"{place}.{name}")
    elif isinstance(slow, datetime):
        assert in_utc(fast) == in_utc(slow), place
    elif isinstance(slow, list | dict):
        assert len(fast) == len(slow), place
        for key, each in slow.items() if isinstance(slow, dict) else enumerate(slow):
            _same(fast[key], each, f"{place}.{key}")
    else:
        assert fast == slow, place
        assert isinstance(slow, str) or type(fast) is type(slow), place


@pytest.mark.parametrize("topic", FAST_READERS)
def test_an_ordinary_message_is_read_fast(topic: str) -> None:
    assert _read(topic, json.dumps(fullest_messages()[topic]).encode()) is not None


def test_a_name_with_letters_beyond_ascii_is_read_fast_however_it_is_written() -> None:
    message = altered(ESSAY_SLOT_ASSIGNED, ("data", "original_file_name"), "Åsas uppsats 😀.docx")

    assert _read(ESSAY_SLOT_ASSIGNED, json.dumps(message).encode()) is not None
    assert _read(ESSAY_SLOT_ASSIGNED, json.dumps(message, ensure_ascii=False).encode()) is not None


@pytest.mark.parametrize("topic", FAST_READERS)
def test_extremes_at_every_place_are_read_alike_or_left_to_the_model(topic: str) -> None:
    random = Random(topic)
    for place in every_place(fullest_messages()[topic]):
        for extreme in EXTREMES:
            _read(topic, as_bytes(altered(topic, place, extreme), random))
        _read(topic, as_bytes(altered(topic, place), random))


@pytest.mark.parametrize("topic", FAST_READERS)
def test_spoiled_bytes_are_read_alike_or_left_to_the_model(topic: str) -> None:
    random = Random(f"{topic} spoiled")
    whole = json.dumps(fullest_messages()[topic], ensure_ascii=False).encode()
    for _ in range(_SPOILED):
        value = spoiled(whole, random)
        if value is not None:
            _read(topic, value)


@pytest.mark.parametrize("digits", range(10))
@pytest.mark.parametrize("end", ["Z", "z", "", "+00:00", "-00:00", "+0000", "+01:00", "+23:59"])
def test_times_are_read_alike_however_fine_they_are(digits: int, end: str) -> None:
    fraction = f".{'987654321'[:digits]}" if digits else ""
    for separator in ("T", "t", " ", "_"):
        time = f"2026-03-07{separator}08:00:59{fraction}{end}"
        message = altered(ESSAY_SLOT_ASSIGNED, ("data", "timestamp"), time)
        _read(ESSAY_SLOT_ASSIGNED, json.dumps(message).encode())


@pytest.mark.parametrize("topic", FAST_READERS)
def test_no_time_that_cannot_be_true_gets_past_the_fast_reader(topic: str) -> None:
    times = [
        place
        for place in every_place(fullest_messages()[topic])
        if place[-1] in {"timestamp", "event_timestamp", "started_at", "completed_at"}
        and "error_info" not in place
    ]
    assert times
    for place in times:
        for time in (*TIMES, "1969-12-31T23:59:59Z", f"{_LAST_YEAR}-01-01T00:00:00Z"):
            fast = _read(topic, json.dumps(altered(topic, place, time)).encode())
            assert fast is None or time.startswith(("2026", "1970"))


def test_every_message_of_the_scenarios_means_the_same_on_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [line.message for name in SCENARIO_NAMES for line in scenario(name)]
    fast = [_meaning(message) for message in messages]
    monkeypatch.setattr("application.translate.FAST_READERS", {})

    assert fast == [_meaning(message) for message in messages]


def _meaning(message: IncomingMessage) -> object:
    outcome = translate(message, received_at=RECEIVED_AT)
    if isinstance(outcome, Rejection):
        return outcome
    assert isinstance(outcome, TranslatedMessage)
    return outcome.happened_at, outcome.causation, decide(outcome, {})
