"""The parts of the example consumer that decide: what is an event, and what an answer does not show yet."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.envelopes import outgoing_messages
from domain.batch_events import BatchResultsReady
from examples.ai_feedback_consumer import ResultsReady, described, what_is_missing
from tests.support.given import announced, assessed, play, registered, spellchecked

_AWAY = {"available": False, "reason": "It is unavailable."}
_JUDGED = {
    "available": True,
    "jobs": [
        {"job_id": "42", "state": "finished", "reliability": {"ssr": 0.8712}},
        {"job_id": "43", "state": "running", "reliability": {"ssr": None}},
    ],
}


def ready(status: str = "completed_successfully") -> ResultsReady:
    """Return an event as the example reads it."""
    return ResultsReady("event-1", "correlation-1", "b", status, 2)


def shown(status: str, assessment: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of the API."""
    return {
        "overall_status": status,
        "completed_essay_count": 2,
        "essay_count": 3,
        "assessment": assessment,
    }


def test_it_reads_what_ras_writes() -> None:
    batch = play([registered("e1"), spellchecked("e1"), assessed("e1")])
    [event] = [e for e in announced(batch.collect_events()) if isinstance(e, BatchResultsReady)]
    [announcement, _] = outgoing_messages(event)

    read = ResultsReady.from_value(announcement.value)

    envelope = orjson.loads(announcement.value)
    assert read == ResultsReady(
        event_id=envelope["event_id"],
        correlation_id=envelope["correlation_id"],
        batch_id=announcement.key.decode(),
        overall_status="completed_successfully",
        revision=1,
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"7",
        b"null",
        b'{"data": []}',
        b'{"event_id": "1", "data": {}}',
        b"[" * 10**5,
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        ResultsReady.from_value(value)


@given(st.binary())
def test_no_bytes_stop_it(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        ResultsReady.from_value(value)


@pytest.mark.parametrize(
    ("status", "body", "missing"),
    [
        ("completed_successfully", None, "RAS does not know this batch"),
        ("completed_successfully", shown("processing", _AWAY), "RAS shows it as processing"),
        (
            "completed_with_failures",
            shown("completed_successfully", _JUDGED),
            "RAS shows it as completed_successfully",
        ),
        (
            "completed_successfully",
            shown("completed_successfully", _AWAY),
            "no assessment: It is unavailable.",
        ),
        ("completed_successfully", shown("completed_successfully", _JUDGED), None),
        ("failed_critically", shown("failed", _AWAY), None),
        ("cancelled", shown("cancelled", _AWAY), None),
    ],
)
def test_what_an_answer_does_not_show_yet(
    status: str, body: dict[str, Any] | None, missing: str | None
) -> None:
    assert what_is_missing(ready(status), body) == missing


def test_a_line_says_what_is_there_and_what_is_not() -> None:
    assert described(ready(), shown("completed_successfully", _JUDGED), None) == (
        "b revision 2: completed_successfully, 2 of 3 essays, "
        "judging 42 finished with SSR 0.87, judging 43 running"
    )
    assert described(ready(), None, "RAS does not know this batch") == (
        "b revision 2: completed_successfully; RAS does not know this batch"
    )
