"""A running RAS with something for every operation of both APIs: what generated requests can find."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from application import topics
from domain.batch import BatchAggregate, batch_stream_id
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.script import BatchScript
from infrastructure.kafka.topics import partitions_by_topic
from infrastructure.local.embedded_kafka import EmbeddedKafka
from infrastructure.postgres.schema import initialise
from tests.support.ingesting import Ingestion, dead_letter, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import opened_store
from tests.support.role_process import Installation
from tests.support.waiting import wait_until

TEACHER: Final = "teacher-0007"
ORGANISATION: Final = "school-1"
SERVICE: Final = "conformance"
KEY: Final = "a-key-with-all-scopes"
HEADERS: Final = {"X-Internal-API-Key": KEY, "X-Service-ID": SERVICE}
_KEYS: Final = f"""
[{SERVICE}]
keys = ["sha256:{sha256(KEY.encode()).hexdigest()}"]
scopes = ["read", "operate", "act-for-teachers"]
"""
_SEEN: Final = 3
_LETTERS: Final = {
    topics.BATCH_PHASE_OUTCOME: _SEEN,
    topics.ASSESSMENT_RESULT: _SEEN,
    topics.SPELLCHECK_RESULTS: 90,
}
"""Of the topics in this order: for one order that retries many, for one that discards many, and for single orders."""

_WHY: Final = ["sent by a test"]
_BASE: Final = "/internal/v1"

Known = Mapping[str, Sequence[str | int]]


@dataclass(frozen=True, slots=True)
class Served:
    """Where both APIs are, and what they know: by parameter (`path.batch_id`), and by operation and parameter."""

    urls: Mapping[str, str]
    run_id: str
    known: Known
    known_to: Mapping[str, Known]


@contextmanager
def serving(database_url: str, folder: Path) -> Iterator[Served]:
    """RAS on the empty database `database_url`, its processes and logs in `folder`."""
    judged = replace(small_batch("judged", failed=1), judged=True, analysed=True)
    plain, sick = small_batch("plain"), small_batch("sick")
    initialise(database_url)
    _ingest(database_url, judged, plain, sick)
    folder.mkdir(exist_ok=True)
    keys = folder / "keys.toml"
    keys.write_text(_KEYS)
    settings = {"internal_api_key": "", "service_keys_file": str(keys), "longest_wait_s": "0.05"}
    with (
        EmbeddedKafka(partitions_by_topic()) as kafka,
        Installation(database_url, kafka.bootstrap_servers, folder) as ras,
    ):
        projects = ras.start("project")
        query, assessments = (ras.start(role, **settings) for role in ("serve", "serve-assessments"))
        for role in (projects, query, assessments):
            role.wait_until_ready()
        with httpx.Client(base_url=f"{query.url}{_BASE}", headers=HEADERS, timeout=60) as client:
            letters = _letters(client)
            run_id = _checked(client)
            known = _known(client, judged, plain, sick) | {
                "path.position": letters[:10],
                "path.run_id": [run_id],
            }
            urls = {"query": query.url, "assessments": assessments.url}
            yield Served(urls, run_id, known, _known_to(plain, letters))


def _ingest(url: str, judged: BatchScript, plain: BatchScript, sick: BatchScript) -> None:
    """Ingest three batches, of which one waits behind a fault of ours, and letters that stay unreadable."""
    messages = [_of_an_organisation(message) for message in messages_of(judged, plain, sick)]
    with opened_store(url) as store, pytest.MonkeyPatch.context() as patch:
        record = BatchAggregate.record_spellcheck

        def fails(batch: BatchAggregate, *, essay_id: str, **facts: Any) -> None:
            if essay_id == sick.essay_ids[-1]:
                raise ArithmeticError("a fault of ours, for a while")
            record(batch, essay_id=essay_id, **facts)

        patch.setattr(BatchAggregate, "record_spellcheck", fails)
        ingestion = Ingestion(store)
        ingestion.insist(intakes_of(messages))
        for topic, number in _LETTERS.items():
            ingestion.insist([dead_letter(topic, partition=10 + n) for n in range(number)])


def _of_an_organisation(message: UpstreamMessage) -> UpstreamMessage:
    if message.topic != topics.BATCH_ESSAYS_REGISTERED:
        return message
    value = json.loads(message.value)
    value["data"]["org_id"] = ORGANISATION
    return replace(message, value=json.dumps(value).encode())


def _letters(client: httpx.Client) -> list[str]:
    """Return the ids of the letters for single orders, once all are listed: they come last in the log."""
    single = _LETTERS[topics.SPELLCHECK_RESULTS]
    path = f"/ops/dead-letters?topic={topics.SPELLCHECK_RESULTS}&reason=not_json&limit={single}"

    def listed() -> list[str]:
        return [str(each["position"]) for each in client.get(path).raise_for_status().json()["dead_letters"]]

    wait_until(lambda: len(listed()) == single, what="the letters are listed", deadline_s=120)
    return listed()


def _checked(client: httpx.Client) -> str:
    """Return the id of a check of everything that has ended."""
    run = client.post("/ops/check").raise_for_status().json()

    def state() -> str:
        return str(client.get(f"/ops/check/runs/{run['id']}").raise_for_status().json()["state"])

    wait_until(lambda: state() != "running", what="the check has ended", deadline_s=120)
    assert state() == "finished"
    return str(run["id"])


def _known(
    client: httpx.Client, judged: BatchScript, plain: BatchScript, sick: BatchScript
) -> dict[str, Sequence[str | int]]:
    inbox = f"/teachers/{TEACHER}/notifications"

    def notifications() -> list[str]:
        found = client.get(inbox).raise_for_status().json()["notifications"]
        return [each["notification_id"] for each in found]

    wait_until(lambda: bool(notifications()), what="the inbox is filled", deadline_s=120)
    return {
        "path.batch_id": [judged.batch_id, plain.batch_id, sick.batch_id],
        "path.essay_id": [*judged.essay_ids, *plain.essay_ids],
        "path.user_id": [TEACHER],
        "path.teacher_id": [TEACHER],
        "path.org_id": [ORGANISATION],
        "path.job_id": [judged.job_id, plain.job_id],
        "path.notification_id": notifications(),
        "path.stream_id": [batch_stream_id(sick.batch_id)],
    }


def _known_to(plain: BatchScript, letters: Sequence[str]) -> dict[str, Known]:
    """Return what an order needs of its own: a letter is settled once, and a number of letters counts."""
    [spellcheck, *_] = (m.value for m in messages_of(plain) if m.topic == topics.SPELLCHECK_RESULTS)
    base, half = f"POST {_BASE}/ops/dead-letters", len(letters) // 2
    return {
        f"{base}/{{position}}/replace": {
            "path.position": letters[10:half],
            "body.value": [b64encode(spellcheck).decode()],
            "body.why": _WHY,
        },
        f"{base}/{{position}}/discard": {"path.position": letters[half:], "body.why": _WHY},
        f"{base}/retry": {"query.topic": [topics.BATCH_PHASE_OUTCOME], "body.expected": [_SEEN]},
        f"{base}/discard": {
            "query.topic": [topics.ASSESSMENT_RESULT],
            "body.expected": [_SEEN],
            "body.why": _WHY,
        },
    }
