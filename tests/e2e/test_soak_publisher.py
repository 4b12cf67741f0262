"""The publisher is killed at moments that nobody chose, and readers of committed records notice nothing."""

from __future__ import annotations

from random import Random

from infrastructure.demo.stream import stream
from tests.support.accounts import all_is_taken_in, announcements, check_published_once, wait_until_settled
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import CommittedReader, Topics
from tests.support.waiting import wait_until

import os
_SEED = int(os.environ['SOAK'])
_KILLS = 25


def test_every_announcement_is_seen_once_although_the_publisher_is_killed_again_and_again(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    dice = Random(_SEED)
    messages = list(stream(_SEED, 150, class_sizes=(1, 3, 8)))
    share = len(messages) // (_KILLS + 1) + 1
    ras.start("ingest").wait_until_ready()
    killed_at_work = 0
    with CommittedReader(ras.bootstrap_servers) as reader:
        for life in range(_KILLS):
            publisher = ras.start("publish", publish_max_events=str(dice.randint(1, 5)))
            if life % 3 == 0:  # the publisher waits for work; otherwise work waits for it
                publisher.wait_until_ready()
            ras_topics.send(messages[life * share : (life + 1) * share])
            _read_more(reader, dice.randint(1, 20), ras_topics, store)
            for _ in range(dice.randrange(6)):
                reader.look()
            publisher.kill()
            killed_at_work += reader.look() < announcements(store)
        ras_topics.send(messages[_KILLS * share :])

        ras.start("publish")
        wait_until_settled(store, ras_topics, ras.transactional_id, projected=False)

    assert killed_at_work >= _KILLS / 3, "nearly every publisher was killed idle, which shows nothing"
    check_published_once(store, ras_topics, ras.transactional_id)


def _read_more(reader: CommittedReader, records: int, topics: Topics, store: PostgresProbe) -> None:
    """Wait until so many more records are committed, or all there are."""
    enough = len(reader.records) + records

    def is_enough() -> bool:
        return reader.look() >= enough or (
            all_is_taken_in(store, topics) and len(reader.records) == announcements(store)
        )

    wait_until(
        is_enough,
        what=f"{enough} records are committed",
        state=lambda: f"{len(reader.records)} of {announcements(store)} that are due",
    )
