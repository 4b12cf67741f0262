"""The example of docs/consumers.md beside a running RAS: a line for each batch, once, whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from application.topics import BATCH_RESULTS_READY
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.script import START, BatchScript, draw_script
from infrastructure.demo.upstream import batch_messages
from infrastructure.local.processes import free_port
from tests.support.assessment_server import AssessmentServer, answering, answering_each, assessment_server
from tests.support.example_process import SERVICE_ID, ExampleProcess
from tests.support.role_process import Installation
from tests.support.topics import Record, Topics
from tests.support.waiting import wait_until

_ESSAYS: Final = 3


@dataclass(frozen=True, slots=True)
class Again:
    """A record to be sent once more, as it is."""

    record: Record

    @property
    def topic(self) -> str:
        return self.record.topic

    @property
    def key(self) -> bytes | None:
        return self.record.key

    @property
    def value(self) -> bytes:
        return self.record.value

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        return tuple((name, value.encode()) for name, value in self.record.headers.items())


@pytest.fixture
def app() -> Iterator[AssessmentServer]:
    """What is in the place of the assessment app: it knows every batch."""
    with assessment_server() as running:
        running.otherwise = answering_each
        yield running


def batch(number: int) -> BatchScript:
    """Return a small batch."""
    return draw_script(
        f"feedback {number}",
        starts_at=START,
        user_id="teacher-0007",
        job_id=str(7000 + number),
        essays=_ESSAYS,
    )


def messages(*scripts: BatchScript) -> list[UpstreamMessage]:
    """Return everything that upstream says of these batches."""
    return [message for script in scripts for message in batch_messages(script)]


def announced(topics: Topics) -> list[Record]:
    """Return all records of the topic that the example reads."""
    return topics.read([BATCH_RESULTS_READY])


def test_each_batch_has_one_line_through_repeats_restarts_and_a_new_group(
    ras: Installation, ras_topics: Topics, tmp_path: Path
) -> None:
    app = ras.start("serve-assessments")
    api = ras.start("serve", assessments_url=app.url, allowed_services=SERVICE_ID)
    for role in ("ingest", "publish", "project"):
        ras.start(role)
    first, second, third, fourth = (batch(number) for number in range(4))
    where = {"kafka": ras.bootstrap_servers, "api": api.url, "group": ras.consumer_group}

    with ExampleProcess(tmp_path, "first", **where) as example:
        ras_topics.send(messages(first, second))
        example.wait_for_batches(first.batch_id, second.batch_id)
        [line] = [line for line in example.lines if line.startswith(f"{first.batch_id} revision")]
        assert line.endswith(f" {_ESSAYS} of {_ESSAYS} essays, judging 7000 finished")
        ras_topics.send([Again(announced(ras_topics)[0]), Again(announced(ras_topics)[1])])
        example.wait_for_repeats(2)
        assert example.stop() == 0
        seen = Counter(example.batches)

    # What Kafka has of the group's progress and what the file has are both found again.
    ras_topics.send(messages(third))
    with ExampleProcess(tmp_path, "second", **where) as example:
        example.wait_for_batches(third.batch_id)
        ras_topics.send([Again(announced(ras_topics)[-1]), *messages(fourth)])
        example.wait_for_batches(fourth.batch_id)
        example.wait_for_repeats(1)
        assert example.repeats == 1, "it reads again what it had committed"
        example.wait_for_notes(4)
        example.kill()
        seen += Counter(example.batches)

    # Kafka has forgotten the group: everything comes again, and nothing is new.
    with ExampleProcess(tmp_path, "third", **{**where, "group": f"{ras.consumer_group}-again"}) as example:
        example.wait_for_repeats(len(announced(ras_topics)))
        assert example.stop() == 0
        seen += Counter(example.batches)

    assert seen == Counter(script.batch_id for script in (first, second, third, fourth))


def test_what_cannot_be_done_now_is_done_later_and_nothing_is_skipped(
    ras: Installation, ras_topics: Topics, app: AssessmentServer, tmp_path: Path
) -> None:
    """RAS's API is unavailable, then the assessment app is, and a record is no event at all."""
    port = free_port()
    for role in ("ingest", "publish", "project"):
        ras.start(role)
    app.otherwise = answering({}, status=503)
    first, second = batch(10), batch(11)
    where = {"kafka": ras.bootstrap_servers, "api": f"http://127.0.0.1:{port}"}
    with ExampleProcess(tmp_path, "patient", group=ras.consumer_group, patience="600", **where) as example:
        ras_topics.send(messages(first))
        example.wait_for_line("RAS does not answer")
        assert example.batches == []

        ras.start(
            "serve",
            api_port=str(port),
            assessments_url=app.url,
            assessments_pause_s="0.2",
            allowed_services=SERVICE_ID,
        )
        wait_until(lambda: bool(app.requests), what="the assessment app is asked", deadline_s=60)
        assert example.batches == []
        app.otherwise = answering_each
        example.wait_for_batches(first.batch_id)

        [record] = announced(ras_topics)
        garbage = Record(record.at, record.key, b'{"data": []}', {})
        ras_topics.send([Again(garbage), *messages(second)])
        example.wait_for_line("left out huleedu.ras.batch.results.ready.v1-")
        example.wait_for_batches(second.batch_id)
        assert example.stop() == 0
        assert Counter(example.batches) == Counter([first.batch_id, second.batch_id])

    app.otherwise = answering({}, status=503)
    third = batch(12)
    with ExampleProcess(tmp_path, "hasty", group=ras.consumer_group, patience="0", **where) as example:
        ras_topics.send(messages(third))
        example.wait_for_batches(third.batch_id)
        [line] = [line for line in example.lines if line.startswith(third.batch_id)]
        assert line.split("; ")[1]


def test_a_key_that_ras_does_not_take_ends_it_with_a_sentence_and_commits_nothing(
    ras: Installation, ras_topics: Topics, app: AssessmentServer, tmp_path: Path
) -> None:
    api = ras.start("serve", assessments_url=app.url, allowed_services=SERVICE_ID)
    for role in ("ingest", "publish", "project"):
        ras.start(role)
    ras_topics.send(messages(batch(20)))
    where = {"kafka": ras.bootstrap_servers, "api": api.url, "group": ras.consumer_group}
    with ExampleProcess(tmp_path, "refused", key="another", **where) as example:
        assert example.wait_for_end() == 1
        assert "RAS refuses with status 401" in example.lines[-1]

    with ExampleProcess(tmp_path, "accepted", **where) as example:
        example.wait_for_batches(batch(20).batch_id)


def test_without_key_or_kafka_it_says_what_is_missing(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with ExampleProcess(tmp_path, "a", key="", kafka=nowhere) as example:
        assert example.wait_for_end() == 2
        assert example.lines[-1].endswith("set RAS_INTERNAL_API_KEY to the key that RAS takes")
    with ExampleProcess(tmp_path, "b", kafka=nowhere) as example:
        assert example.wait_for_end() == 1
        assert example.lines[-1] == f"Kafka does not answer at {nowhere}."
