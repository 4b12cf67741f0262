"""Stored events live long: what any release wrote can be read, and today's code writes the same bytes."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from eventsourcing.persistence import StoredEvent

from domain.aggregate import DomainEvent
from domain.batch_events import BatchRegistered, EssaySpellcheckFailed
from domain.immutable import immutable
from infrastructure.eventstore.codec import EventCodec, UndecodableEventError, UnknownEventTopicError
from infrastructure.eventstore.event_registry import EVENT_CLASSES, event_codec
from tests.golden.expected_events import EXPECTED

FOLDER: Final = Path(__file__).parent
TOPICS: Final = (FOLDER / "topics.txt").read_text(encoding="utf-8").split()
CURRENT: Final = sorted(event_class.topic for event_class in EVENT_CLASSES)


WITH_AN_OFFSET: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+[+-](?!00:00)[0-9]{2}:[0-9]{2}")


def in_utc(found: re.Match[bytes]) -> bytes:
    """Write a time with an offset, as it was stored, in UTC."""
    return (
        datetime.fromisoformat(found[0].decode()).astimezone(UTC).isoformat().replace("+00:00", "Z").encode()
    )


def golden(topic: str) -> StoredEvent:
    """Return the event that is checked in for `topic`."""
    path = FOLDER / "stored" / f"{topic}.json"
    if not path.exists():
        pytest.fail(f"{path.name} is missing. It would hold:\n{as_file(EXPECTED[topic])}")
    text = json.loads(path.read_text(encoding="utf-8"))
    return StoredEvent(**text | {"state": text["state"].encode()})


def as_file(event: DomainEvent) -> str:
    """Return the text of a golden file for `event`."""
    stored = event_codec().to_stored_event(event)
    return json.dumps(
        {
            "originator_id": stored.originator_id,
            "originator_version": stored.originator_version,
            "topic": stored.topic,
            "state": stored.state.decode(),
        },
        ensure_ascii=False,
        indent=1,
    )


def test_every_topic_that_was_ever_written_can_be_read() -> None:
    assert set(TOPICS) <= event_codec().topics, "a topic was taken away, or renamed"
    assert set(TOPICS) >= event_codec().topics, "a new topic is not in topics.txt"
    assert sorted(set(TOPICS)) == TOPICS


def test_every_topic_has_a_golden_event_and_nothing_else_has() -> None:
    assert {path.name.removesuffix(".json") for path in (FOLDER / "stored").iterdir()} == set(TOPICS)
    assert EXPECTED.keys() == set(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_golden_event_says_what_it_always_said(topic: str) -> None:
    assert golden(topic).topic == topic
    assert event_codec().to_domain_event(golden(topic)) == EXPECTED[topic]


@pytest.mark.parametrize("topic", CURRENT)
def test_todays_event_gives_the_same_bytes(topic: str) -> None:
    assert event_codec().to_stored_event(EXPECTED[topic]) == golden(topic)


@pytest.mark.parametrize("topic", CURRENT)
def test_an_event_that_was_read_is_written_as_it_was_but_for_the_zone_of_its_times(topic: str) -> None:
    codec = event_codec()
    stored = golden(topic)

    written = codec.to_stored_event(codec.to_domain_event(stored))

    assert written == replace(stored, state=WITH_AN_OFFSET.sub(in_utc, stored.state))


@pytest.mark.parametrize(
    "change",
    [
        {"originator_id": 'batch-"\\\t\u2028, "x": {'},
        {"originator_version": 2**40},
        {"state": golden(BatchRegistered.topic).state + b"\n"},
    ],
    ids=["any stream id", "a late version", "white space behind it"],
)
def test_stream_and_version_are_read_from_their_columns(change: dict[str, Any]) -> None:
    stored = replace(golden(BatchRegistered.topic), **change)

    event = event_codec().to_domain_event(stored)

    assert event == replace(
        EXPECTED[BatchRegistered.topic],
        originator_id=str(stored.originator_id),
        originator_version=stored.originator_version,
    )


def test_topics_name_their_version_and_no_module() -> None:
    for topic in TOPICS:
        assert topic.startswith("ras.")
        assert topic.rpartition(".v")[2].isdecimal()
        assert ":" not in topic


# The registry.


@pytest.mark.parametrize("topic", ["ras.batch.registered.v2", "colorsys:hls_to_rgb", "os:system", ""])
def test_a_topic_that_is_not_registered_is_refused_and_nothing_is_imported(topic: str) -> None:
    sys.modules.pop("colorsys", None)
    foreign = replace(golden("ras.batch.registered.v1"), topic=topic)

    with pytest.raises(UnknownEventTopicError) as refusal:
        event_codec().to_domain_event(foreign)

    assert repr(topic) in str(refusal.value)
    assert str(foreign.originator_id) in str(refusal.value)
    assert "colorsys" not in sys.modules


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (b"", "its state is not JSON"),
        (b"xx", "its state is not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "JSON"),
        (b'{"user_id": "teacher-0007", "essay_ids": 5}', "essay_ids: Input should be"),
    ],
)
def test_a_state_that_cannot_be_read_is_an_error_that_names_the_event_and_no_person(
    state: bytes, reason: str
) -> None:
    damaged = replace(golden(BatchRegistered.topic), state=state)

    with pytest.raises(UndecodableEventError) as refusal:
        event_codec().to_domain_event(damaged)

    assert reason in refusal.value.reason
    assert (refusal.value.stream_id, refusal.value.version) == (
        damaged.originator_id,
        damaged.originator_version,
    )
    for named in (
        f"Event {damaged.originator_version} of stream {damaged.originator_id}",
        damaged.topic,
        reason,
    ):
        assert named in str(refusal.value)
    assert "teacher-0007" not in str(refusal.value)


def test_an_upcast_that_fails_is_told_with_the_event() -> None:
    older = old_registration("ras.batch.registered.v0", course="SV2")

    with pytest.raises(UndecodableEventError, match=r"Event 1 of stream .*has no 'essays'"):
        EventCodec(EVENT_CLASSES, RETIRED).to_domain_event(older)


def test_two_classes_cannot_share_a_topic() -> None:
    @immutable(kw_only=True, slots=False)
    class Impostor(DomainEvent):
        topic: ClassVar = BatchRegistered.topic

    with pytest.raises(ValueError, match=r"share the topic ras\.batch\.registered\.v1"):
        EventCodec([BatchRegistered, Impostor])


# Upcasting: a made-up past in which a registration had one text for course and class, and before that
# no order of essays.


def _from_v0(state: dict[str, Any]) -> dict[str, Any]:
    return state | {"essay_ids": sorted(state.pop("essays"))}


def _from_v0_5(state: dict[str, Any]) -> dict[str, Any]:
    course_code, _, class_id = state.pop("course").partition("/")
    return state | {"course_code": course_code, "class_id": class_id or None, "org_id": None}


RETIRED: Final = {
    "ras.batch.registered.v0": ("ras.batch.registered.v0-5", _from_v0),
    "ras.batch.registered.v0-5": (BatchRegistered.topic, _from_v0_5),
}


def old_registration(topic: str, **facts: Any) -> StoredEvent:
    """Return a registration as an older version stored it."""
    state = json.loads(golden(BatchRegistered.topic).state)
    for newer in ("essay_ids", "course_code", "class_id", "org_id"):
        del state[newer]
    return replace(
        golden(BatchRegistered.topic), topic=topic, state=json.dumps(state | facts, indent=2).encode()
    )


def test_an_older_version_is_read_as_the_current_one() -> None:
    old = old_registration("ras.batch.registered.v0-5", essay_ids=["e2", "e1"], course="SV2/class-9")

    event = EventCodec(EVENT_CLASSES, RETIRED).to_domain_event(old)

    expected = EXPECTED[BatchRegistered.topic]
    assert isinstance(expected, BatchRegistered)
    assert event == replace(expected, essay_ids=("e2", "e1"), course_code="SV2", class_id="class-9")


def test_upcasts_follow_one_another() -> None:
    older = old_registration("ras.batch.registered.v0", essays=["e2", "e1"], course="SV2")

    event = EventCodec(EVENT_CLASSES, RETIRED).to_domain_event(older)

    assert (event.essay_ids, event.course_code, event.class_id) == (("e1", "e2"), "SV2", None)


def test_a_retired_version_is_readable_and_followed_but_never_written() -> None:
    codec = EventCodec(EVENT_CLASSES, RETIRED)

    assert RETIRED.keys() < codec.topics
    assert set(codec.stored_under([BatchRegistered.topic])) == {BatchRegistered.topic, *RETIRED}
    assert codec.stored_under([EssaySpellcheckFailed.topic]) == (EssaySpellcheckFailed.topic,)
    assert codec.to_stored_event(EXPECTED[BatchRegistered.topic]).topic == BatchRegistered.topic


# What upstream may put into its free-form objects.


@pytest.mark.parametrize(
    "details",
    [
        pytest.param({"request": 2**64}, id="beyond 64 bits"),
        pytest.param({"request": -(10**40), "deep": [{"also": 10**100}]}, id="far beyond"),
        pytest.param({"counter": 2**53 + 1, "most": 2**63 - 1, "unsigned": 2**64 - 1}, id="beyond a float"),
        pytest.param({"text": "“quoted” 😀 \x00 \u2028"}, id="every character"),
        pytest.param({"": {"": [[], {}, None, False]}}, id="empty things"),
        pytest.param({"float": 0.1 + 0.2, "tiny": 5e-324, "huge": 1.7976931348623157e308}, id="floats"),
    ],
)
def test_details_survive_exactly(details: dict[str, Any]) -> None:
    event = EXPECTED[EssaySpellcheckFailed.topic]
    assert isinstance(event, EssaySpellcheckFailed)
    told = replace(event, error_info=details)
    codec = event_codec()

    read = codec.to_domain_event(codec.to_stored_event(told))

    assert read == told
    assert repr(read.error_info) == repr(details)
