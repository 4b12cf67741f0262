"""The ingester sleeps, or is killed at moments that nobody chose, with and without a successor at work."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from tests.support.accounts import all_is_taken_in, check_as_undisturbed, check_taken_in_once, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Coordinates, Topics
from tests.support.waiting import wait_until

_SEED = 20_260_308
_KILLS = 10


def test_every_message_is_taken_in_once_although_the_ingester_is_killed_again_and_again(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    dice = Random(_SEED)
    messages = list(stream(_SEED, 100, class_sizes=(1, 8, 24), disorder=0.3, repeats=0.1))
    share = len(messages) // (_KILLS + 1) + 1
    sent: list[Coordinates] = []

    def start(life: int) -> RoleProcess:
        # A group for each life: no wait until the group has given up the killed member. What keeps two of
        # them from ingesting the same message is the position in PostgreSQL and not the group.
        return ras.start(
            "ingest",
            consumer_group=f"{ras.consumer_group}-{life}",
            batch_max_messages=str(dice.choice((3, 10, 40))),
        )

    ingester = start(0)
    killed_at_work = 0
    for life in range(_KILLS):
        ingester.wait_until_ready()
        successor = start(life + 1).wait_until_ready() if life % 2 else None
        before = taken_in(store)
        sent += ras_topics.send(messages[life * share : (life + 1) * share])
        enough = before + dice.randint(1, share - 1)
        wait_until(
            lambda enough=enough: taken_in(store) >= enough,  # type: ignore[misc]
            what=f"{enough} messages are ingested",
            state=lambda: taken_in(store),
        )
        ingester.kill()
        killed_at_work += taken_in(store) < len(sent)
        ingester = successor or start(life + 1)
    sent += ras_topics.send(messages[_KILLS * share :])
    wait_until(
        lambda: taken_in(store) >= len(messages),
        what="everything is ingested",
        state=lambda: f"{taken_in(store)} of {len(messages)}",
    )

    code = ingester.wait_until_ready().terminate()

    assert code == 0
    assert killed_at_work >= _KILLS / 3, "nearly every ingester was killed idle, which shows nothing"
    check_taken_in_once(store, ras_topics, sent)
    check_as_undisturbed(store, messages)


def test_an_ingester_that_slept_while_another_did_its_work_does_none_of_it_again(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    messages = list(stream(_SEED, 40, class_sizes=(1, 8, 24), disorder=0.3, repeats=0.1))
    third = len(messages) // 3
    older = ras.start("ingest").wait_until_ready()
    sent = _send(messages[:third], ras_topics, store)
    with older.paused():
        younger = ras.start("ingest", consumer_group=f"{ras.consumer_group}-too").wait_until_ready()
        sent += _send(messages[third : 2 * third], ras_topics, store)
    sent += _send(messages[2 * third : -third // 2], ras_topics, store)
    assert older.health == younger.health == "ok"
    assert younger.terminate() == 0, younger.output
    sent += _send(
        messages[-third // 2 :], ras_topics, store
    )  # the older one goes on where the other has ended

    assert older.health == "ok"
    check_taken_in_once(store, ras_topics, sent)
    check_as_undisturbed(store, messages)


def _send(messages: Sequence[UpstreamMessage], topics: Topics, store: PostgresProbe) -> list[Coordinates]:
    """Send messages, wait until they are ingested, and return where they lie."""
    places = topics.send(messages)
    wait_until(
        lambda: all_is_taken_in(store, topics),
        what="everything is ingested",
        deadline_s=60.0,
        state=lambda: taken_in(store),
    )
    return places
