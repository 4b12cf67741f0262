"""The publisher is killed at moments that nobody chose, and readers of committed records notice nothing."""

from __future__ import annotations

from random import Random

from infrastructure.demo.stream import stream
from tests.support.accounts import announced, check_published_once, taken_in, wait_until_settled
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import CommittedReader, Topics
from tests.support.waiting import wait_until

_SEED = 20_260_307
_KILLS = 12


def test_every_announcement_is_seen_once_although_the_publisher_is_killed_again_and_again(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    dice = Random(_SEED)
    messages = list(stream(_SEED, 150, class_sizes=(1, 3, 8)))
    share = len(messages) // (_KILLS + 1) + 1
    ras.start("ingest").wait_until_ready()
    with CommittedReader(ras.bootstrap_servers) as reader:
        for life in range(_KILLS):
            publisher = ras.start("publish", publish_max_events=str(dice.randint(1, 5)))
            part = messages[life * share : (life + 1) * share]
            if life % 3:  # a new publisher finds work at once, or waits for it
                ras_topics.send(part)
            else:
                publisher.wait_until_ready()
                ras_topics.send(part)
            reader.wait_for(len(reader.records) + dice.randint(1, 20))
            for _ in range(dice.randrange(6)):
                reader.look()
            publisher.kill()
        ras_topics.send(messages[_KILLS * share :])
        wait_until(
            lambda: taken_in(store) == len(messages),
            what="everything is taken in",
            state=lambda: f"{taken_in(store)} of {len(messages)}",
        )
        left = len(announced(store)) - reader.look()

        ras.start("publish")
        wait_until_settled(store, ras_topics, ras.transactional_id, projected=False)

    assert left > 0, "the last publisher found nothing to do: the kills came too late to show anything"
    check_published_once(store, ras_topics, ras.transactional_id)
