"""Bad input on the real broker: each case ends as documented, and what lies behind it is ingested."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from application.topics import (
    ASSESSMENT_RESULT,
    BATCH_ESSAYS_REGISTERED,
    BATCH_PHASE_OUTCOME,
    BATCH_PIPELINE_COMPLETED,
    ESSAY_SLOT_ASSIGNED,
    SPELLCHECK_RESULTS,
)
from domain.dead_letters import Reason
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.script import START, BatchScript, draw_script
from infrastructure.demo.upstream import batch_messages
from tests.support.accounts import check_published_once, wait_until_settled
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Coordinates, Topics
from tests.support.upstream import altered

_MEGABYTE: Final = 1_000_000
_LONG: Final = "x" * 5 * _MEGABYTE


@dataclass(frozen=True)
class BadMessage:
    """A message and the reason for which it is put aside, None where it is taken in all the same."""

    topic: str
    value: bytes | None
    reason: Reason | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def _altered(topic: str, reason: Reason | None, *path: str | int, to: Any) -> BadMessage:
    return BadMessage(topic, json.dumps(altered(topic, path, to)).encode(), reason)


_NULL_HEADER: Any = None
"""Kafka allows headers without a value, whatever the types of its clients say."""

_POISON: Final = [
    BadMessage(SPELLCHECK_RESULTS, None, Reason.NO_VALUE),
    BadMessage(SPELLCHECK_RESULTS, None, Reason.NO_VALUE, key=b"", headers=(("event_id", b""),)),
    BadMessage(
        BATCH_PHASE_OUTCOME, b"no", Reason.NOT_JSON, headers=(("event_id", _NULL_HEADER), ("x", b"\xff"))
    ),
    BadMessage(ESSAY_SLOT_ASSIGNED, b"", Reason.NOT_JSON),
    BadMessage(ESSAY_SLOT_ASSIGNED, b"{", Reason.NOT_JSON, key=b"\xff\x00", headers=(("x", b"\xff\x00"),)),
    BadMessage(ASSESSMENT_RESULT, b"\xff\xfe{\x00}\x00", Reason.NOT_JSON),
    BadMessage(BATCH_ESSAYS_REGISTERED, _LONG.encode(), Reason.NOT_JSON),
    BadMessage(BATCH_PIPELINE_COMPLETED, b"[" * 5 * _MEGABYTE, Reason.NOT_JSON),
    BadMessage(BATCH_PIPELINE_COMPLETED, b"[]", Reason.CONTRACT_VIOLATION),
    BadMessage(
        SPELLCHECK_RESULTS, json.dumps([_LONG, _LONG[: 4 * _MEGABYTE]]).encode(), Reason.CONTRACT_VIOLATION
    ),
    _altered(ESSAY_SLOT_ASSIGNED, Reason.CONTRACT_VIOLATION, "data", "original_file_name", to=_LONG),
    _altered(BATCH_ESSAYS_REGISTERED, Reason.CONTRACT_VIOLATION, "data", "entity_id", to=...),
    _altered(BATCH_ESSAYS_REGISTERED, Reason.CONTRACT_VIOLATION, "data", "expected_essay_count", to=-1),
    _altered(BATCH_PIPELINE_COMPLETED, Reason.CONTRACT_VIOLATION, "data", "failed_essay_count", to=-3),
    _altered(SPELLCHECK_RESULTS, Reason.CONTRACT_VIOLATION, "data", "corrections_made", to=-1),
    _altered(BATCH_PHASE_OUTCOME, Reason.CONTRACT_VIOLATION, "data", "phase_status", to="quite_good"),
    _altered(ASSESSMENT_RESULT, Reason.CONTRACT_VIOLATION, "schema_version", to=2),
    _altered(ASSESSMENT_RESULT, Reason.CONTRACT_VIOLATION, "data", "essay_results", 0, "rank", to="first"),
    _altered(ESSAY_SLOT_ASSIGNED, Reason.NOT_STORABLE, "data", "original_file_name", to="essay\0.docx"),
    _altered(SPELLCHECK_RESULTS, Reason.IMPLAUSIBLE_TIME, "data", "timestamp", to="9999-12-31T23:59:59Z"),
    _altered(ASSESSMENT_RESULT, Reason.IMPLAUSIBLE_TIME, "data", "assessed_at", to="1066-10-14T09:00:00Z"),
]
_STRANGE: Final = [
    _altered(BATCH_PHASE_OUTCOME, None, "event_type", to="quite.another.event.v9"),
    _altered(ASSESSMENT_RESULT, None, "unheard_of", to=_LONG),
    _altered(SPELLCHECK_RESULTS, None, "data", "system_metadata", "error_info", to={"trace": _LONG}),
    _altered(ESSAY_SLOT_ASSIGNED, None, "event_id", to=...),
]


def test_each_bad_message_ends_as_documented_and_nothing_waits_behind_it(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    script = _script("a class behind poison")
    good = list(batch_messages(script))
    for role in [ras.start(name) for name in ("ingest", "publish", "project")]:
        role.wait_until_ready()

    # In each partition that the good messages go to, poison lies before them.
    bad = [BadMessage(m.topic, b"poison", Reason.NOT_JSON, key=m.key) for m in good] + _POISON + _STRANGE
    places = ras_topics.send(bad)
    ras_topics.send(good)
    wait_until_settled(store, ras_topics, ras.transactional_id)

    put_aside = {place: message for place, message in zip(places, bad, strict=True) if message.reason}
    letters = _letters(store)
    assert letters.keys() == put_aside.keys()
    for place, (reason, value, key, headers) in letters.items():
        message = put_aside[place]
        assert (place, reason) == (place, message.reason)
        assert (value, key) == (message.value, message.key)
        assert [name for name, _ in headers] == [name for name, _ in message.headers]
    counts = store.counts().values()
    assert sum(c.dead_lettered for c in counts) == len(put_aside)
    assert sum(c.parked for c in counts) == 0
    assert sum(c.recorded for c in counts) == len(good) + len(_STRANGE)
    check_published_once(store, ras_topics, ras.transactional_id)
    assert _announced_batches(ras_topics) == [script.batch_id]


def test_an_essay_that_the_registration_does_not_name_counts_nowhere(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    script = _script("a class", essays=2)
    stranger = json.loads(_first(script, SPELLCHECK_RESULTS).value)
    stranger["data"]["entity_id"] = "00000000-0000-4000-8000-000000000000"
    api = _start_all(ras)

    ras_topics.send([BadMessage(SPELLCHECK_RESULTS, json.dumps(stranger).encode(), None)])
    ras_topics.send(batch_messages(script))
    wait_until_settled(store, ras_topics, ras.transactional_id)

    status = ras.get(api, f"/batches/{script.batch_id}/status").json()
    assert (status["overall_status"], status["essay_count"]) == ("completed_successfully", 2)
    assert {essay["essay_id"] for essay in status["essays"]} == set(script.essay_ids)
    assert _announced_batches(ras_topics) == [script.batch_id]


def test_results_of_a_batch_that_nobody_registered_wait_for_its_registration(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    script = _script("registered last", essays=2)
    messages = list(batch_messages(script))
    api = _start_all(ras)

    ras_topics.send(m for m in messages if m.topic != BATCH_ESSAYS_REGISTERED)
    wait_until_settled(store, ras_topics, ras.transactional_id)

    assert ras.get(api, f"/batches/{script.batch_id}/status").status_code == 404
    assert ras_topics.read() == []
    assert _letters(store) == {}

    ras_topics.send([_first(script, BATCH_ESSAYS_REGISTERED)])
    wait_until_settled(store, ras_topics, ras.transactional_id)

    assert ras.get(api, f"/batches/{script.batch_id}/status").json()["completed_essay_count"] == 2
    assert _announced_batches(ras_topics) == [script.batch_id]


def _script(name: str, *, essays: int = 3) -> BatchScript:
    return draw_script(name, starts_at=START, user_id="teacher-0007", job_id="4711", essays=essays)


def _first(script: BatchScript, topic: str) -> UpstreamMessage:
    return next(message for message in batch_messages(script) if message.topic == topic)


def _start_all(ras: Installation) -> RoleProcess:
    """Start every role and return the API."""
    started = [ras.start(name) for name in ("ingest", "publish", "project", "serve")]
    *_, api = (role.wait_until_ready() for role in started)
    return api


def _letters(
    store: PostgresProbe,
) -> dict[Coordinates, tuple[str, bytes | None, bytes | None, list[tuple[str, str]]]]:
    """Return reason, value, key and headers of every dead letter that an operator sees."""
    rows = store.rows(
        'SELECT topic, partition, "offset", reason, value, key, headers FROM ras_dead_letters.letters'
    )
    return {
        Coordinates(topic, partition, offset): (reason, value, key, headers)
        for topic, partition, offset, reason, value, key, headers in rows
    }


def _announced_batches(topics: Topics) -> list[str]:
    """Return the batches whose results were said to be ready, as often as it was said."""
    return [r.envelope["data"]["batch_id"] for r in topics.read() if ".results.ready." in r.topic]
