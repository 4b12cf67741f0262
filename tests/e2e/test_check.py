"""`ras check` and `ras outbox` on everything: what came in, is recorded, is shown and went out."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from application.envelopes import OutgoingMessage
from application.topics import BATCH_RESULTS_READY, TEACHER_NOTIFICATION_REQUESTED
from domain.batch_events import NOTIFIED_EVENTS, BatchProgressed
from infrastructure.demo.stream import stream
from infrastructure.eventstore.publisher_position import publisher_position
from tests.support.accounts import (
    all_is_projected,
    all_is_published,
    announced,
    recorded_events,
    taken_in,
    wait_until_settled,
)
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Sender, Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_125, 8, class_sizes=(1, 4), failure_share=0))
"""Nothing fails and passes later, so that each batch is announced once, in whichever order it is read."""


def report(ras: Installation, *options: str) -> dict[str, Any]:
    """Run `ras check` and return what it says."""
    run = ras.run("check", "--json", *options)
    found: dict[str, Any] = json.loads(run.output.strip().splitlines()[-1])
    assert run.exit_code == (0 if found["consistent"] else 1)
    return found


@pytest.fixture
def settled(ras: Installation, ras_topics: Topics, store: PostgresProbe) -> Installation:
    """RAS after a few batches have gone through all of it; every role is still at work."""
    for role in ("ingest", "publish", "project"):
        ras.start(role).wait_until_ready()
    with Sender(ras.bootstrap_servers) as sender:
        sender.send(_MESSAGES)
    wait_until_settled(store, ras_topics, ras.transactional_id)
    wait_until(
        lambda: store.positions().get(publisher_position(ras.transactional_id), 0) > 0,
        what="the publisher has left its copy",
    )
    return ras


def test_everything_agrees_and_what_is_tampered_with_in_kafka_is_named(
    settled: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    whole = report(settled)
    assert whole["findings"] == []
    assert whole["notes"] == []
    counts = {account["name"]: account["found"] for account in whole["accounts"]}
    progressed = store.value("SELECT count(*) FROM ras.stored_events WHERE topic = %s", BatchProgressed.topic)
    assert progressed
    assert counts[TEACHER_NOTIFICATION_REQUESTED] == counts["teacher_inbox.notifications"] + progressed
    assert counts[BATCH_RESULTS_READY] == 8
    assert report(settled, "--incremental")["since"] == whole["position"]

    sent = next(message for message in announced(store) if message.topic == BATCH_RESULTS_READY)
    foreign = OutgoingMessage(sent.topic, sent.key, b'{"event_id": "made-up"}', ())
    ras_topics.send([sent, foreign])

    tampered = report(settled, "--incremental")
    twice = dict(sent.headers)["event_id"].decode()
    assert {(f["account"], f["id"]) for f in tampered["findings"]} == {
        (sent.topic, twice),
        (sent.topic, "made-up"),
    }
    again = report(settled)
    details = {f["id"]: f["detail"] for f in again["findings"]}
    assert details.keys() == {twice, "made-up"}
    assert "2 times" in details[twice]


def test_records_of_other_services_on_a_shared_topic_are_not_counted(
    settled: Installation, ras_topics: Topics
) -> None:
    named = b'{"event_id": "theirs", "source_service": "file_service"}'
    topic = TEACHER_NOTIFICATION_REQUESTED
    ras_topics.send(
        [
            OutgoingMessage(topic, b"teacher-0001", named, ()),
            OutgoingMessage(topic, b"teacher-0001", b"{}", (("source_service", b"class_service"),)),
            OutgoingMessage(topic, b"teacher-0001", b"not json", ()),
        ]
    )

    assert report(settled)["findings"] == []


def test_records_with_another_key_or_content_are_named_with_what_differs(
    settled: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    sent = [message for message in announced(store) if message.topic == BATCH_RESULTS_READY]
    envelope = json.loads(sent[1].value)
    envelope["data"]["total_essays"] += 1
    envelope["made_up"] = True
    headers = tuple((n, b"2" if n == "schema_version" else v) for n, v in sent[3].headers)
    changed = {
        0: sent[0]._replace(key=b"another-batch"),
        1: sent[1]._replace(value=json.dumps(envelope).encode()),
        2: sent[2]._replace(value=b""),
        3: sent[3]._replace(headers=headers),
    }
    ras_topics.delete(BATCH_RESULTS_READY)
    ras_topics.create(BATCH_RESULTS_READY, {}, partitions=3)
    ras_topics.send([changed.get(number, message) for number, message in enumerate(sent)])

    found = report(settled)

    details = {finding["id"]: finding["detail"] for finding in found["findings"]}
    names = ["its key", "data.total_essays, made_up", "its content", "its headers"]
    ids = [dict(message.headers)["event_id"].decode() for message in sent]
    assert details.keys() == set(ids[:4])
    for event_id, name in zip(ids, names, strict=False):
        assert details[event_id].endswith(f"it differs in {name}.")


@pytest.mark.parametrize("partitions", [0, 1, 5], ids=["no topic", "fewer partitions", "more partitions"])
def test_a_record_that_never_went_out_is_named(
    settled: Installation, ras_topics: Topics, store: PostgresProbe, partitions: int
) -> None:
    lost = {dict(m.headers)["event_id"].decode() for m in announced(store) if m.topic == BATCH_RESULTS_READY}
    ras_topics.delete(BATCH_RESULTS_READY)
    if partitions:
        ras_topics.create(BATCH_RESULTS_READY, {}, partitions=partitions)

    found = report(settled)

    assert {f["id"] for f in found["findings"] if f["account"] == BATCH_RESULTS_READY} == lost


def test_what_lies_in_another_kafka_is_not_missed_once_the_publisher_was_told_to_go_on(
    settled: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    """All topics are recreated, as on another Kafka. What is published from then on is compared."""
    assert report(settled)["consistent"]
    settled.terminate_all()
    said = len(announced(store))
    published = store.positions()[publisher_position(settled.transactional_id)]
    ras_topics.renew()
    for role in (("ingest",), ("publish", "--resume-at", str(published)), ("project",)):
        settled.start(*role, accept_offset_gaps="true").wait_until_ready()
    before = taken_in(store)
    later = list(stream(20_261_126, 3, class_sizes=(1, 4), failure_share=0))
    ras_topics.send(later)
    wait_until(
        lambda: (
            taken_in(store) == before + len(later)
            and all_is_published(store, settled.transactional_id)
            and all_is_projected(store)
        ),
        what="what came later is ingested, published and projected",
        deadline_s=60.0,
        state=store.positions,
    )

    for options in (("--incremental",), ()):
        checked = report(settled, *options)
        assert checked["findings"] == []
        assert any(
            f"of events up to {published} are not in Kafka and are not expected there" in note
            for note in checked["notes"]
        )

    ras_topics.delete(BATCH_RESULTS_READY)
    later_said = announced(store)[said:]
    lost = {dict(m.headers)["event_id"].decode() for m in later_said if m.topic == BATCH_RESULTS_READY}
    named = {f["id"] for f in report(settled)["findings"] if f["account"] == BATCH_RESULTS_READY}
    assert named == lost


def test_the_outbox_shows_what_was_published_and_what_waits(
    settled: Installation, store: PostgresProbe
) -> None:
    shown = json.loads(settled.run("outbox", "--json", "--limit", "100").output)

    assert (shown["pending_events"], shown["pending"], shown["notes"]) == (0, [], [])
    published = {(entry["topic"], entry["event_id"], entry["key"]) for entry in shown["published"]}
    assert published == {
        (m.topic, dict(m.headers)["event_id"].decode(), m.key.decode()) for m in announced(store)
    }
    assert all(entry["published_at"] >= entry["recorded_at"] for entry in shown["published"])

    store.execute(
        "UPDATE ras.positions SET position = 0 WHERE name = %s", publisher_position(settled.transactional_id)
    )
    waiting = json.loads(settled.run("outbox", "--json", "--limit", "3").output)

    outgoing = [event for event in recorded_events(store) if isinstance(event, NOTIFIED_EVENTS)]
    assert waiting["pending_events"] == len(outgoing)
    # An announcement is two records; progress is a notification alone.
    assert len(waiting["pending"]) == sum(
        1 if isinstance(event, BatchProgressed) else 2 for event in outgoing[:3]
    )
    assert waiting["published"] == []
