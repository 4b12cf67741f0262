"""An old database under a newer Kafka: everybody notices, nothing is skipped, and nothing is said twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from application.restore import announcement_digest
from application.topics import DEAD_LETTERS, OUTPUT_TOPICS, TEACHER_NOTIFICATION_REQUESTED
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from infrastructure.eventstore.publisher_position import publisher_position
from tests.support.accounts import (
    all_is_projected,
    all_is_taken_in,
    announced,
    last_announcement,
    taken_in,
    wait_until_settled,
)
from tests.support.backups import bring_back, save
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_124, 40, class_sizes=(1, 3, 8)))
_THIRD: Final = len(_MESSAGES) // 3
_BEFORE: Final = _MESSAGES[:_THIRD]
_BROKEN: Final = [replace(message, value=b"not json") for message in _MESSAGES[:7]]
_SINCE: Final = _MESSAGES[_THIRD : 2 * _THIRD] + _BROKEN
_AFTERWARDS: Final = _MESSAGES[2 * _THIRD :]


class Disaster:
    """A backup, what happened since, and the way back to the backup."""

    def __init__(self, ras: Installation, topics: Topics, store: PostgresProbe, backup: Path) -> None:
        self.ras = ras
        self.topics = topics
        self.store = store
        self._backup = backup

    def make_backup(self) -> None:
        save(self.ras.database_url, self._backup)

    def restore(self) -> None:
        bring_back(self.ras.database_url, self._backup)

    @property
    def position(self) -> int:
        """The copy of the publisher's position."""
        return self.store.positions().get(publisher_position(self.ras.transactional_id), 0)

    @contextmanager
    def ingesting(self) -> Iterator[None]:
        """Two ingesters at work, which end in order."""
        ingesters = [self.ras.start("ingest").wait_until_ready() for _ in range(2)]
        yield
        for ingester in ingesters:
            ingester.terminate()

    def take_in(self, messages: list[UpstreamMessage]) -> None:
        """Send messages, and let ingesters take in all that lies in Kafka."""
        self.topics.send(messages)
        with self.ingesting():
            self.wait_until_taken_in()

    def send(self, messages: list[UpstreamMessage]) -> None:
        """Send messages, and let the roles that are at work take them in and publish all that is due."""
        self.topics.send(messages)
        self.wait_until_taken_in()
        self.wait_until_published()

    def wait_until_taken_in(self) -> None:
        """Return when ingesters at work have taken in all that lies in Kafka."""
        wait_until(
            lambda: all_is_taken_in(self.store, self.topics),
            what="everything is ingested",
            deadline_s=60.0,
            state=lambda: taken_in(self.store),
        )

    def publish_all(self, *arguments: str) -> None:
        """Let a publisher send all that is due."""
        publisher = self.ras.start("publish", *arguments).wait_until_ready()
        self.wait_until_published()
        assert publisher.terminate() == 0

    def wait_until_published(self) -> None:
        """Return when a publisher at work has sent all that is due."""
        wait_until_settled(self.store, self.topics, self.ras.transactional_id, projected=False)

    def check_said_once(self) -> None:
        """All that the store calls for was said, nothing twice, and teachers know as much as services do."""
        out = self.topics.read(OUTPUT_TOPICS)
        ids = Counter((record.topic, record.envelope["event_id"]) for record in out)
        assert set(ids.values()) == {1}, "an event id stands for two things: consumers drop the second"
        said = Counter(
            announcement_digest(record.value)
            for record in out
            if announcement_digest(record.value) is not None
        )
        due = {
            announcement_digest(m.value)
            for m in announced(self.store)
            if announcement_digest(m.value) is not None
        }
        assert due
        assert due <= said.keys(), "something was never said"
        progress = {
            announcement_digest(record.value)
            for record in out
            if b'"batch_status_updated"' in (record.value or b"")
        }
        assert {times for what, times in said.items() if what not in progress} == {1}, (
            "something was said twice"
        )
        notified = [record for record in out if record.topic == TEACHER_NOTIFICATION_REQUESTED]
        notices = [record for record in out if record.topic == DEAD_LETTERS]
        assert len(notices) == len(_BROKEN)
        # Progress is told by a notification alone, an announcement by a record and a notification.
        told = [record for record in notified if announcement_digest(record.value) is None]
        assert 2 * len(told) + len(notices) + len(notified) - len(told) == len(out)

    def check_accounts(self) -> None:
        """`ras check` is content: what was said under other event ids is known to be said."""
        projector = self.ras.start("project").wait_until_ready()
        wait_until(lambda: all_is_projected(self.store), what="everything is projected")
        assert projector.terminate() == 0
        check = self.ras.run("check")
        assert check.exit_code == 0, check.output


@pytest.fixture
def disaster(ras: Installation, ras_topics: Topics, store: PostgresProbe, tmp_path: Path) -> Disaster:
    """A backup, and as much again recorded and published since; no role runs any more."""
    scene = Disaster(ras, ras_topics, store, tmp_path / "backup.sql")
    publisher = ras.start("publish").wait_until_ready()
    with scene.ingesting():
        scene.send(_BEFORE)
        scene.make_backup()
        scene.send(_SINCE)
    assert publisher.terminate() == 0
    return scene


def test_a_restored_store_is_noticed_and_after_it_everything_is_said_once(disaster: Disaster) -> None:
    published = disaster.position
    disaster.restore()
    backed_up = disaster.position
    assert backed_up < published

    refused = disaster.ras.run("publish")
    assert refused.exit_code == 1
    complaint = f"says that everything up to {published} is published, but the event store ends at"
    assert complaint in refused.output
    for command in ("outbox", "check"):
        assert complaint in " ".join(disaster.ras.run(command).output.split())

    # The numbers that were given out before are given out again, and beyond: by numbers alone all is well.
    disaster.take_in(_AFTERWARDS)
    assert disaster.store.value("SELECT max(notification_id) FROM ras.stored_events") > published
    refused = disaster.ras.run("publish")
    assert refused.exit_code == 1
    assert "the event store holds another event there: it was restored to an earlier day" in refused.output
    assert "start with `ras publish --after-restore`" in refused.output

    # A crash on the way must not make it forget what it was told.
    first = disaster.ras.start("publish", "--after-restore", publish_max_events="1").wait_until_ready()
    wait_until(lambda: disaster.position > backed_up, what="it is on its way", state=disaster.store.positions)
    first.kill()
    disaster.publish_all()

    disaster.check_said_once()
    disaster.publish_all()
    disaster.check_said_once()
    disaster.check_accounts()


def test_it_may_go_on_before_everything_is_taken_in_again(disaster: Disaster) -> None:
    disaster.restore()
    publisher = disaster.ras.start("publish", "--after-restore").wait_until_ready()
    disaster.take_in(_AFTERWARDS)
    disaster.wait_until_published()
    publisher.terminate()

    disaster.check_said_once()


def test_a_crash_before_everything_is_taken_in_again_does_not_make_it_say_things_twice(
    disaster: Disaster,
) -> None:
    disaster.restore()
    # As many transactions that come to nothing: what is recorded again gets numbers beyond all that were published.
    disaster.store.execute("SELECT setval('ras.stored_events_notification_id_seq', 100000)")
    first = disaster.ras.start("publish", "--after-restore", publish_max_events="1").wait_until_ready()
    with disaster.ingesting():
        wait_until(
            lambda: disaster.position > 100_000,
            what="it has come to what is recorded again",
            state=disaster.store.positions,
        )
        first.kill()
        disaster.publish_all()

    disaster.check_said_once()


def test_roles_that_live_through_a_restore_go_on_from_there(disaster: Disaster) -> None:
    """Nothing new comes: who waits for messages or events has to notice by itself."""
    projector = disaster.ras.start("project").wait_until_ready()
    with disaster.ingesting():
        wait_until(lambda: all_is_projected(disaster.store), what="everything is projected")
        publisher = disaster.ras.start("publish").wait_until_ready()
        disaster.restore()

        assert publisher.wait_for_end() == 1
        assert "it was restored to an earlier day" in publisher.output
        wait_until(
            lambda: all_is_taken_in(disaster.store, disaster.topics) and all_is_projected(disaster.store),
            what="everything is taken in and projected again",
            state=lambda: (taken_in(disaster.store), disaster.store.positions()),
        )
    projector.terminate()
    streams = "SELECT count(*), max(originator_version) FROM ras.stored_events GROUP BY originator_id"
    assert [row for row in disaster.store.rows(streams) if row[0] != row[1]] == [], "versions are missing"
    disaster.publish_all("--after-restore")
    disaster.check_said_once()


def test_a_publisher_at_work_notices_that_the_store_was_restored_under_it(disaster: Disaster) -> None:
    publisher = disaster.ras.start("publish").wait_until_ready()
    said = len(disaster.topics.read(OUTPUT_TOPICS))
    disaster.restore()
    disaster.take_in(_AFTERWARDS)

    assert publisher.wait_for_end(deadline_s=60.0) == 1
    assert "it was restored to an earlier day" in publisher.output
    assert len(disaster.topics.read(OUTPUT_TOPICS)) == said

    disaster.publish_all("--after-restore")
    disaster.check_said_once()
    assert disaster.position >= last_announcement(disaster.store)


def test_a_kafka_that_is_older_than_the_store_is_refused_by_name(disaster: Disaster) -> None:
    """Topics that were lost and recreated: the store is ahead of everything in Kafka."""
    disaster.topics.renew()

    ingester = disaster.ras.run("ingest")
    publisher = disaster.ras.run("publish")

    assert (ingester.exit_code, publisher.exit_code) == (1, 1)
    assert "Kafka ends at offset -1, before the stored position" in ingester.output
    assert "the topic has lost its memory" in publisher.output

    [resume_at] = re.findall(r"--resume-at (\d+)", publisher.output)
    before = taken_in(disaster.store)
    ingester = disaster.ras.start("ingest", accept_offset_gaps="true").wait_until_ready()
    disaster.topics.send(_AFTERWARDS)
    wait_until(
        lambda: taken_in(disaster.store) == before + len(_AFTERWARDS),
        what="the new topics are ingested",
        state=lambda: taken_in(disaster.store) - before,
    )
    publisher = disaster.ras.start("publish", "--resume-at", resume_at).wait_until_ready()
    wait_until(
        lambda: disaster.position >= last_announcement(disaster.store),
        what="what is new is published",
        state=disaster.store.positions,
    )
    assert (ingester.terminate(), publisher.terminate()) == (0, 0)
    due = announced(disaster.store, after=int(resume_at))
    assert {record.value for record in disaster.topics.read(OUTPUT_TOPICS)} == {m.value for m in due}
    check = " ".join(disaster.ras.run("check").output.split())
    assert f"records of events up to {resume_at} are not in Kafka and are not expected there" in check
    assert "is missing" not in check
