"""When two announcements are one: they say the same of the same batch, whatever else differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from application.envelopes import outgoing_messages
from application.restore import announcement_digest, with_unused_id
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.dead_letters import MessageDeadLettered
from domain.values import BatchStatus
from tests.golden.expected_events import EXPECTED

READY: Any = EXPECTED[BatchResultsReady.topic]
RANKED: Any = EXPECTED[BatchAssessmentCompleted.topic]
LETTER: Any = EXPECTED[MessageDeadLettered.topic]


def saying(event: Any) -> bytes | None:
    return announcement_digest(outgoing_messages(event)[0].value)


def test_a_dead_letter_is_known_by_its_place_in_its_stream() -> None:
    again = replace(LETTER, detail="in other words", happened_at=LETTER.happened_at + timedelta(days=3))
    assert saying(again) == saying(LETTER) is not None
    assert saying(replace(LETTER, originator_version=LETTER.originator_version + 1)) != saying(LETTER)
    assert saying(replace(LETTER, originator_id="dead-letter-other")) != saying(LETTER)


@pytest.mark.parametrize("event", [READY, RANKED])
def test_taken_in_again_at_another_time_and_place_it_is_the_same_saying(event: Any) -> None:
    later = event.causation.received_at + timedelta(days=3)
    again = replace(
        event,
        originator_version=event.originator_version + 2,
        causation=replace(event.causation, received_at=later, offset=7, event_id="another"),
    )
    assert outgoing_messages(again)[0].value != outgoing_messages(event)[0].value
    assert saying(again) == saying(event) is not None


@pytest.mark.parametrize(
    "other",
    [
        replace(READY, originator_id="batch-other"),
        replace(READY, revision=READY.revision + 1),
        replace(READY, overall_status=BatchStatus.CANCELLED),
        replace(RANKED, originator_id="batch-other"),
        replace(RANKED, job_id="another"),
        replace(RANKED, rankings=()),
    ],
)
def test_another_batch_outcome_or_ranking_is_another_saying(other: Any) -> None:
    assert saying(other) not in {saying(READY), saying(RANKED), None}


@pytest.mark.parametrize(
    "garbage", [None, b"", b"{", b"[]", b"{}", b'{"data": {}}', b'{"data": {"overall_status": 1}}']
)
def test_what_is_no_announcement_of_ours_says_nothing(garbage: bytes | None) -> None:
    assert announcement_digest(garbage) is None


def test_an_id_that_stood_for_something_else_before_the_restore_is_not_used_again() -> None:
    message = outgoing_messages(READY)[0]
    envelope = orjson.loads(message.value)
    used = {UUID(envelope["event_id"]).bytes}
    assert with_unused_id(message, set()) is message

    other = with_unused_id(message, used)
    again = orjson.loads(other.value)
    assert again["event_id"] == dict(other.headers)["event_id"].decode() != envelope["event_id"]
    assert {**again, "event_id": envelope["event_id"]} == envelope
    assert with_unused_id(message, used) == other, "a retry is a repeat"

    third = with_unused_id(message, used | {UUID(again["event_id"]).bytes})
    assert UUID(dict(third.headers)["event_id"].decode()).bytes not in used
