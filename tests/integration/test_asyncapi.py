"""The AsyncAPI document: valid, committed as it is generated, and true of real messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from jsonschema import Draft7Validator

from application import topics
from application.envelopes import outgoing_messages
from domain.batch_events import PUBLISHED_EVENTS
from domain.dead_letters import MessageDeadLettered
from infrastructure.live.asyncapi import WRITTEN, asyncapi_document
from tests.support.fake_store import FakeEventStore
from tests.support.ingesting import (
    Ingestion,
    dead_letter,
    intakes_of,
    messages_of,
    small_batch,
)
from tests.support.live import check_described

_ROOT: Final = Path(__file__).parents[2]
_SCHEMA: Final = _ROOT / "tests" / "contracts" / "asyncapi-3.0.0.schema.json"
"""Of the npm package @asyncapi/specs 6.11.1 (Apache-2.0), without its examples."""
DOCUMENT: Final = asyncapi_document()


def test_the_document_is_valid_asyncapi_3() -> None:
    Draft7Validator(json.loads(_SCHEMA.read_text(encoding="utf-8"))).validate(DOCUMENT)


def test_the_committed_document_is_the_generated_one() -> None:
    committed = json.loads((_ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8"))
    for each in (committed, made := asyncapi_document()):
        del each["info"]["version"]

    assert committed == made, "write it again: .venv/bin/ras asyncapi > docs/asyncapi.json"


def test_every_topic_is_in_it_and_every_reference_leads_somewhere() -> None:
    assert {*topics.INPUT_TOPICS, *topics.OUTPUT_TOPICS} <= set(DOCUMENT["channels"])
    references = _references(DOCUMENT)
    assert references
    for each in references:
        found = DOCUMENT
        for part in each.removeprefix("#/").split("/"):
            found = found[part]


def test_what_ras_publishes_and_reads_is_as_described() -> None:
    script = small_batch("described", essays=4, failed=1)
    messages = messages_of(script)
    store = FakeEventStore()
    Ingestion(store).insist([*intakes_of(messages), dead_letter(topics.SPELLCHECK_RESULTS, partition=7)])

    sent = [
        each
        for event in store.events
        if isinstance(event, (*PUBLISHED_EVENTS, MessageDeadLettered))
        for each in outgoing_messages(event)
    ]
    assert {each.topic for each in sent} == set(WRITTEN)
    values = [(each.topic, each.value) for each in sent] + [(each.topic, each.value) for each in messages]
    for topic, value in values:
        [described] = DOCUMENT["channels"][topic]["messages"].values()
        check_described(described["payload"], orjson.loads(value))


@pytest.mark.parametrize("changed", [{"schema_version": 2}, {"source_service": 7}, {"data": None}])
def test_a_message_that_breaks_the_contract_is_not_as_described(changed: dict[str, Any]) -> None:
    message = messages_of(small_batch())[0]
    [described] = DOCUMENT["channels"][message.topic]["messages"].values()
    with pytest.raises(Exception, match=r"is not|was expected"):
        check_described(described["payload"], {**orjson.loads(message.value), **changed})


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*map(_references, value.values()))
