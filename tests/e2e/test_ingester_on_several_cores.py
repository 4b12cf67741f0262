"""An ingester with a backlog starts other processes; each of them may be killed."""

from __future__ import annotations

import psutil

from infrastructure.demo.stream import stream
from tests.support.accounts import check_as_undisturbed, check_taken_in_once, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_SEED = 20_260_312


def _others(ingester: RoleProcess) -> list[psutil.Process]:
    """Wait for the other processes of an ingester, and return them."""
    wait_until(lambda: len(ingester.deciding) == 2, what="two other processes have started", deadline_s=60)
    return ingester.deciding


def test_nothing_is_lost_or_doubled_when_one_process_after_the_other_is_killed(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    messages = list(stream(_SEED, 400, class_sizes=(8, 24), disorder=0.3, repeats=0.1))
    half = len(messages) // 2
    settings = {"ingest_processes": "3", "batch_max_messages": "150"}

    def wait_for(number: int) -> None:
        wait_until(
            lambda: taken_in(store) >= number,
            what=f"{number} messages are ingested",
            deadline_s=120,
            state=lambda: taken_in(store),
        )

    ingester = ras.start("ingest", **settings).wait_until_ready()
    sent = ras_topics.send(messages[:half])
    _others(ingester)[0].kill()
    wait_for(half)
    assert ingester.health == "ok"

    ingester.kill()
    ingester = ras.start(
        "ingest", consumer_group=f"{ras.consumer_group}-later", **settings
    ).wait_until_ready()
    sent += ras_topics.send(messages[half : half + half // 2])
    others = _others(ingester)
    ingester.kill()
    wait_until(
        lambda: not any(other.is_running() for other in others),
        what="the other processes have ended, too",
        deadline_s=60,
    )

    ingester = ras.start("ingest", consumer_group=f"{ras.consumer_group}-last", **settings).wait_until_ready()
    sent += ras_topics.send(messages[half + half // 2 :])
    wait_for(len(messages))
    assert ingester.terminate() == 0, ingester.output
    check_taken_in_once(store, ras_topics, sent)
    check_as_undisturbed(store, messages)
