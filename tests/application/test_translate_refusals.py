"""Why a message becomes a dead letter, and what the reason may and may not say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from application.topics import (
    ASSESSMENT_RESULT,
    BATCH_ESSAYS_REGISTERED,
    COMPARISON_RESULT,
    ESSAY_SLOT_ASSIGNED,
    INPUT_TOPICS,
    SPELLCHECK_RESULTS,
)
from application.translate import Rejection, translate
from domain.dead_letters import Reason
from tests.support.upstream import RECEIVED_AT, Place, altered, fullest_messages, record

FULLEST = fullest_messages()


def rejection(topic: str, value: bytes | dict[str, Any] | None) -> Rejection:
    """Translate what must be refused."""
    read = translate(record(topic, value), received_at=RECEIVED_AT)
    assert isinstance(read, Rejection)
    return read


def test_a_tombstone_has_no_value() -> None:
    assert rejection(SPELLCHECK_RESULTS, None).reason is Reason.NO_VALUE


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"\xff\xfe", b'{"a": "\xff"}', b'{"a": NULL}', b'"\\ud800"', b"[" * 5000, b"{} {}"],
    ids=["empty", "cut", "utf-16", "latin-1", "literal", "surrogate", "deep", "two"],
)
def test_what_is_no_json_is_refused_as_that(value: bytes) -> None:
    assert rejection(SPELLCHECK_RESULTS, value).reason is Reason.NOT_JSON


@pytest.mark.parametrize("value", [b"null", b"[]", b'"text"', b"7", b"{}"])
def test_json_that_is_no_envelope_breaks_the_contract(value: bytes) -> None:
    assert rejection(SPELLCHECK_RESULTS, value).reason is Reason.CONTRACT_VIOLATION


def test_a_refusal_names_the_places_that_break_the_contract() -> None:
    message = altered(SPELLCHECK_RESULTS, ("data", "corrections_made"), "three")
    del message["data"]["batch_id"]

    detail = rejection(SPELLCHECK_RESULTS, message).detail

    assert "data.batch_id: Field required" in detail
    assert "data.corrections_made: " in detail


def test_a_refusal_of_what_is_no_object_says_so() -> None:
    assert rejection(SPELLCHECK_RESULTS, b"[]").detail.startswith("message: ")


def test_a_refusal_names_five_places_and_counts_the_others() -> None:
    detail = rejection(SPELLCHECK_RESULTS, altered(SPELLCHECK_RESULTS, ("data",), {})).detail

    assert detail.count("Field required") == 5
    assert detail.endswith("; and 5 more")


def test_a_refusal_carries_the_coordinates_only() -> None:
    causation = rejection(SPELLCHECK_RESULTS, b"{}").causation

    assert (causation.topic, causation.partition, causation.offset) == (SPELLCHECK_RESULTS, 2, 4711)
    assert (causation.event_id, causation.correlation_id, causation.traceparent) == (None, None, None)


PERSONAL = "Жанна"


def places(value: Any, path: Place = ()) -> list[Place]:
    """Name every place in `value`, and one more member in each object."""
    parts = list(value.items()) if isinstance(value, dict) else list(enumerate(value[:1]))
    found = [(*path, name) for name, _ in parts]
    for name, part in parts:
        if isinstance(part, dict | list):
            found += places(part, (*path, name))
    return [*found, (*path, PERSONAL)] if isinstance(value, dict) else found


@pytest.mark.parametrize("topic", INPUT_TOPICS)
@pytest.mark.parametrize(
    "value", [PERSONAL, {PERSONAL: {PERSONAL: 7}}, [PERSONAL]], ids=["text", "object", "list"]
)
def test_a_refusal_never_repeats_what_the_message_holds(topic: str, value: Any) -> None:
    repeated = {}
    for place in places(FULLEST[topic]):
        read = translate(record(topic, altered(topic, place, value)), received_at=RECEIVED_AT)
        if isinstance(read, Rejection) and any(character in read.detail for character in PERSONAL):
            repeated[place] = read.detail

    assert repeated == {}


def test_a_refusal_of_broken_json_never_repeats_what_the_message_holds() -> None:
    whole = json.dumps(FULLEST[SPELLCHECK_RESULTS] | {"x": PERSONAL}, ensure_ascii=False).encode()

    for length in range(len(whole)):
        assert rejection(SPELLCHECK_RESULTS, whole[:length]).detail.isascii()


@pytest.mark.parametrize(
    ("topic", "place", "value"),
    [
        (ESSAY_SLOT_ASSIGNED, ("data", "original_file_name"), "essay\0.docx"),
        (ESSAY_SLOT_ASSIGNED, ("unheard_of",), [{"deep": ["\0"]}]),
        (SPELLCHECK_RESULTS, ("data", "system_metadata", "error_info"), {"\0": 1}),
    ],
)
def test_a_text_that_the_store_cannot_hold_is_refused(topic: str, place: Place, value: object) -> None:
    assert rejection(topic, altered(topic, place, value)).reason is Reason.NOT_STORABLE


@pytest.mark.parametrize(
    ("topic", "place", "value"),
    [
        (SPELLCHECK_RESULTS, ("event_id",), "\0"),
        (SPELLCHECK_RESULTS, ("correlation_id",), "1234\0"),
        (BATCH_ESSAYS_REGISTERED, ("data", "student_prompt_ref"), {"references": {"\0": {}}}),
    ],
)
def test_a_refusal_can_always_be_stored(topic: str, place: Place, value: object) -> None:
    assert "\0" not in rejection(topic, altered(topic, place, value)).detail


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (("data", "request_metadata", "cj_batch_id"), "data.request_metadata.cj_batch_id: Field required"),
        (("data", "request_metadata", "essay_a_id"), "data.request_metadata.essay_a_id: Field required"),
        (
            ("data", "error_detail"),
            "data: Value error, needs either a winner or an error_detail, and not both",
        ),
    ],
)
def test_an_answer_that_belongs_nowhere_is_refused_with_what_it_lacks(place: Place, says: str) -> None:
    refused = rejection(COMPARISON_RESULT, altered(COMPARISON_RESULT, place))

    assert (refused.reason, refused.detail) == (Reason.CONTRACT_VIOLATION, says)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("topic", "place"),
    [
        (ASSESSMENT_RESULT, ("data", "assessment_metadata")),
        (SPELLCHECK_RESULTS, ("data", "system_metadata", "error_info")),
    ],
)
def test_what_is_no_number_of_json_is_refused_in_free_form_objects_too(
    topic: str, place: Place, number: float
) -> None:
    message = record(topic, altered(topic, place, {"deep": [number]}))

    assert isinstance(translate(message, received_at=RECEIVED_AT), Rejection)
