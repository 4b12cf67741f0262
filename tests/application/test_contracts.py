"""The models of incoming messages against upstream's own JSON schemas.

Stricter than the schema in some places and more lenient in a few: each is listed here with its reason,
so that neither grows unseen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from pydantic import ValidationError

from application.contracts import enums, error_codes
from application.contracts import incoming as wire
from application.topics import (
    ASSESSMENT_RESULT,
    BATCH_ESSAYS_REGISTERED,
    BATCH_PHASE_OUTCOME,
    BATCH_PIPELINE_COMPLETED,
    COMPARISON_RESULT,
    ESSAY_NLP_COMPLETED,
    ESSAY_SLOT_ASSIGNED,
    INPUT_TOPICS,
    SPELLCHECK_RESULTS,
)
from domain.values import BatchStatus
from tests.support.upstream import SCENARIO_NAMES, Place, StreamLine, altered, fullest_messages, scenario

FOLDER = Path(__file__).parents[1] / "contracts" / "schemas"
SCHEMAS: dict[str, dict[str, Any]] = {
    topic: json.loads((FOLDER / f"{topic}.schema.json").read_bytes()) for topic in INPUT_TOPICS
}
VALIDATORS = {topic: Draft202012Validator(schema, validate_formats=True) for topic, schema in SCHEMAS.items()}
MODELS: dict[str, type[wire.Envelope[Any]]] = {
    BATCH_ESSAYS_REGISTERED: wire.Envelope[wire.BatchEssaysRegistered],
    ESSAY_SLOT_ASSIGNED: wire.Envelope[wire.EssaySlotAssigned],
    SPELLCHECK_RESULTS: wire.Envelope[wire.SpellcheckResult],
    BATCH_PHASE_OUTCOME: wire.Envelope[wire.BatchPhaseOutcome],
    ASSESSMENT_RESULT: wire.Envelope[wire.AssessmentResult],
    BATCH_PIPELINE_COMPLETED: wire.Envelope[wire.BatchPipelineCompleted],
    COMPARISON_RESULT: wire.Envelope[wire.ComparisonResult],
    ESSAY_NLP_COMPLETED: wire.Envelope[wire.EssayNlpCompleted],
}

REFUSED_THOUGH_VALID = {
    "m14": "a batch id without a character names no batch",
    "m15": "a result of no essay says nothing",
    "m19": "a count beyond 32 bits is no count",
    "m32": "NaN is no number of JSON, though Python's reader takes it",
    "m35": "nobody expects fewer than no essays",
    "m37": "schema version 2 is a contract that nobody has written yet",
    "m42": "half a surrogate pair is no text",
    "m43": "no file name has 900,000 characters",
}
REQUIRED_THOUGH_OPTIONAL: dict[tuple[str, Place], str] = {
    (SPELLCHECK_RESULTS, ("data", "entity_id")): "a result of no essay says nothing",
    (COMPARISON_RESULT, ("data", "request_metadata")): "a decision on nobody's essays says nothing",
    (COMPARISON_RESULT, ("data", "request_metadata", "essay_a_id")): "a decision needs two essays",
    (COMPARISON_RESULT, ("data", "request_metadata", "essay_b_id")): "a decision needs two essays",
    (COMPARISON_RESULT, ("data", "request_metadata", "cj_batch_id")): "a decision of no job belongs nowhere",
    (COMPARISON_RESULT, ("data", "error_detail")): "where nobody won there must be an error",
}
TAKEN_THOUGH_INVALID = {"m40": "upstream's writers mean UTC where they leave out the zone"}


def accepts(topic: str, value: bytes | dict[str, Any]) -> bool:
    """Whether this service's model of `topic` takes the message."""
    try:
        MODELS[topic].model_validate_json(value if isinstance(value, bytes) else json.dumps(value))
    except ValidationError:
        return False
    return True


def valid(topic: str, value: bytes | dict[str, Any]) -> bool:
    """Whether upstream's schema of `topic` takes the message."""
    try:
        # NaN is a number to Python's reader, and so it is here; the validator cannot take one.
        message = (
            json.loads(value.decode(), parse_constant=lambda _: 0.0) if isinstance(value, bytes) else value
        )
    except (ValueError, RecursionError):
        return False
    return VALIDATORS[topic].is_valid(message)


def lines() -> Iterator[StreamLine]:
    """Every message of the scenarios that has a model and a value."""
    for name in SCENARIO_NAMES:
        yield from (line for line in scenario(name) if line.message.topic in MODELS and line.message.value)


FULLEST = fullest_messages()


def paths(value: Any, path: Place = ()) -> Iterator[Place]:
    """Name every place in `value`, lists by their first entry."""
    parts = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for name, part in parts:
        yield (*path, name)
        if isinstance(part, dict | list):
            yield from paths(part, (*path, name))


def schema_at(topic: str, path: Place) -> dict[str, Any]:
    """Return what the schema of `topic` says of the place `path`; nothing of what is free-form."""
    here = root = SCHEMAS[topic]
    for name in path:
        here = _resolved(root, here)
        properties = here.get("properties", {})
        here = here.get("items", {}) if isinstance(name, int) else properties.get(name, {})
    return _resolved(root, here)


def _resolved(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, or the first of several possibilities."""
    while "$ref" in schema or "anyOf" in schema:
        schema = schema["anyOf"][0] if "anyOf" in schema else root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


PLACES = [(topic, path) for topic, message in FULLEST.items() for path in paths(message)]


def each(*, where: Callable[[str, Place], bool]) -> pytest.MarkDecorator:
    """Run a test for each topic and place of which `where` is true."""
    chosen = [
        pytest.param(topic, path, id=f"{topic}-{'.'.join(map(str, path))}")
        for topic, path in PLACES
        if where(topic, path)
    ]
    return pytest.mark.parametrize(("topic", "path"), chosen)


def is_required(topic: str, path: Place) -> bool:
    """Whether the schema insists on the member at `path`."""
    return path[-1] in schema_at(topic, path[:-1]).get("required", ())


def test_there_is_a_full_message_of_every_topic() -> None:
    assert FULLEST.keys() == set(INPUT_TOPICS) == MODELS.keys()
    assert all(accepts(topic, message) and valid(topic, message) for topic, message in FULLEST.items())


def test_what_the_schema_takes_is_taken_unless_listed() -> None:
    refused = {
        line.case or f"{line.message.topic}, line {line.number}"
        for line in lines()
        if valid(line.message.topic, line.message.value or b"")
        and not accepts(line.message.topic, line.message.value or b"")
    }

    assert refused == REFUSED_THOUGH_VALID.keys()


def test_what_the_schema_refuses_is_refused_unless_listed() -> None:
    taken = {
        line.case or f"{line.message.topic}, line {line.number}"
        for line in lines()
        if accepts(line.message.topic, line.message.value or b"")
        and not valid(line.message.topic, line.message.value or b"")
    }

    assert taken == TAKEN_THOUGH_INVALID.keys()


@each(where=is_required)
def test_a_message_without_a_required_member_is_refused(topic: str, path: Place) -> None:
    assert not accepts(topic, altered(topic, path))


@each(where=lambda topic, path: isinstance(path[-1], str) and not is_required(topic, path))
def test_a_message_without_an_optional_member_is_taken(topic: str, path: Place) -> None:
    reason = REQUIRED_THOUGH_OPTIONAL.get((topic, path))

    assert accepts(topic, altered(topic, path)) is (reason is None), reason


@each(where=lambda topic, path: "enum" in schema_at(topic, path))
def test_a_value_outside_an_enumeration_is_refused(topic: str, path: Place) -> None:
    assert not accepts(topic, altered(topic, path, "no_such_value"))


@each(where=lambda topic, path: "properties" in schema_at(topic, path))
def test_members_that_nobody_knows_are_taken(topic: str, path: Place) -> None:
    for place in ((), path):
        assert accepts(topic, altered(topic, (*place, "unheard_of"), {"deep": [1, None, "text"]}))


def leniency(topic: str, path: Place, value: Any) -> str | None:
    """Return why `value` is taken at `path` though the schema refuses it, None where it must not be."""
    place = schema_at(topic, path)
    if (topic, path) == (ESSAY_SLOT_ASSIGNED, ("data", "event")):
        return "the name that a slot message gives itself is not read"
    if value is None and not is_required(topic, path):
        return "a member that may be absent may be null"
    if value is True and path == ("schema_version",):
        return "a literal 1 equals true"
    if isinstance(value, str) and place.get("format") in ("date-time", "uuid"):
        return "formats are read as pydantic reads them: see the test of formats"
    return None


_JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.lists(st.none() | st.integers() | st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=2),
)


@given(st.sampled_from(PLACES), _JSON_VALUES)
def test_no_value_that_the_schema_refuses_is_taken_anywhere(place: tuple[str, Place], value: Any) -> None:
    topic, path = place
    message = altered(topic, path, value)

    if not valid(topic, message) and leniency(topic, path, value) is None:
        assert not accepts(topic, message)


@each(where=lambda _topic, _path: True)
def test_a_wrong_type_is_refused_at_every_place(topic: str, path: Place) -> None:
    values: tuple[Any, ...] = (None, True, 7, 2.5, "word", "", [], [[]], {}, {"a": 1})
    for value in values:
        message = altered(topic, path, value)
        if not valid(topic, message) and leniency(topic, path, value) is None:
            assert not accepts(topic, message), value


@pytest.mark.parametrize(
    ("member", "value", "taken"),
    [
        ("event_timestamp", "2026-03-07T09:00:00.123456Z", True),
        ("event_timestamp", "2026-03-07T09:00:00+01:00", True),
        ("event_timestamp", "2026-03-07T09:00:00", True),
        ("event_timestamp", "2026-02-31T09:00:00Z", False),
        ("event_timestamp", "2026-03-07", False),
        ("event_timestamp", "yesterday", False),
        ("event_timestamp", 1772874000, False),
        ("event_id", "0e8c4235-7ae3-4cf0-b539-e16e2d8cbc6e", True),
        ("event_id", "0E8C4235-7AE3-4CF0-B539-E16E2D8CBC6E", True),
        ("event_id", "not-a-uuid", False),
        ("event_id", 7, False),
        ("correlation_id", "", False),
    ],
)
def test_formats_are_asserted(member: str, value: object, taken: bool) -> None:
    assert accepts(SPELLCHECK_RESULTS, altered(SPELLCHECK_RESULTS, (member,), value)) is taken


@pytest.mark.parametrize(
    ("topic", "path", "value"),
    [
        (SPELLCHECK_RESULTS, ("data", "corrections_made"), -1),
        (SPELLCHECK_RESULTS, ("data", "corrections_made"), 2**31),
        (SPELLCHECK_RESULTS, ("data", "corrections_made"), "3"),
        (SPELLCHECK_RESULTS, ("data", "processing_duration_ms"), 2.5),
        (SPELLCHECK_RESULTS, ("data", "correction_metrics", "correction_density"), float("inf")),
        (SPELLCHECK_RESULTS, ("data", "entity_id"), "e" * 256),
        (BATCH_ESSAYS_REGISTERED, ("data", "essay_ids", 0), ""),
        (BATCH_ESSAYS_REGISTERED, ("data", "user_id"), ""),
        (BATCH_PIPELINE_COMPLETED, ("data", "processing_duration_seconds"), -0.1),
        (BATCH_PIPELINE_COMPLETED, ("data", "completed_phases", 0), ""),
        (ASSESSMENT_RESULT, ("data", "essay_results", 0, "bt_score"), float("nan")),
        (ASSESSMENT_RESULT, ("data", "essay_results", 0, "rank"), 0),
        (ASSESSMENT_RESULT, ("data", "essay_results", 0, "normalized_score"), 1.01),
        (ASSESSMENT_RESULT, ("data", "essay_results", 0, "letter_grade"), "A++"),
        (ESSAY_SLOT_ASSIGNED, ("data", "original_file_name"), "x" * 4097),
        (ESSAY_SLOT_ASSIGNED, ("schema_version",), 2),
        (COMPARISON_RESULT, ("data", "request_id"), ""),
        (COMPARISON_RESULT, ("data", "cost_estimate"), -0.1),
        (COMPARISON_RESULT, ("data", "token_usage", "total_tokens"), 2**31),
        (COMPARISON_RESULT, ("data", "request_metadata", "cj_batch_id"), -1),
        (COMPARISON_RESULT, ("data", "request_metadata", "cj_batch_id"), 10**30),
        (COMPARISON_RESULT, ("data", "request_metadata", "cj_batch_id"), 164.5),
        (COMPARISON_RESULT, ("data", "request_metadata", "cj_batch_id"), ""),
        (COMPARISON_RESULT, ("data", "request_metadata", "bos_batch_id"), 7),
    ],
)
def test_numbers_and_texts_out_of_range_are_refused(topic: str, path: Place, value: object) -> None:
    assert not accepts(topic, altered(topic, path, value))


DECISION = {"winner": "Essay B", "justification": "", "confidence": 5, "error_detail": None}


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, True),
        ({"winner": None}, False),
        ({"justification": None}, False),
        ({"confidence": None}, False),
        ({"confidence": 0.99}, False),
        ({"confidence": 5.01}, False),
        ({"justification": "x" * 500}, True),
        ({"justification": "x" * 501}, False),
        ({"error_detail": FULLEST[COMPARISON_RESULT]["data"]["error_detail"]}, False),
        ({"error_detail": FULLEST[COMPARISON_RESULT]["data"]["error_detail"], "winner": None}, True),
    ],
)
def test_a_judge_decided_or_failed_and_not_both(changes: dict[str, Any], taken: bool) -> None:
    message = altered(COMPARISON_RESULT, ("metadata",), None)
    message["data"] |= DECISION | changes

    assert accepts(COMPARISON_RESULT, message) is valid(COMPARISON_RESULT, message) is taken


@pytest.mark.parametrize(
    "known",
    [
        BatchStatus,
        enums.EssayStatus,
        enums.ProcessingEvent,
        enums.ProcessingStage,
        enums.PhaseName,
        enums.CourseCode,
        enums.ContentType,
        enums.EssayComparisonWinner,
        enums.LLMProviderType,
        *get_args(error_codes.AnyErrorCode),
    ],
)
def test_enumerations_are_upstreams_value_for_value(known: type[StrEnum]) -> None:
    upstream = json.loads((FOLDER / "enums.json").read_bytes())

    assert [member.value for member in known] == upstream[known.__name__]
