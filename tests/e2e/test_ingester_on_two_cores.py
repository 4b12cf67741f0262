"""An ingester with a backlog starts a second process; each of the two may be killed."""

from __future__ import annotations

import psutil

from infrastructure.demo.stream import stream
from tests.support.accounts import check_as_undisturbed, check_taken_in_once, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_SEED = 20_260_312


def _second(ingester: RoleProcess) -> psutil.Process | None:
    """Return the second process of an ingester, None while there is none."""
    return next((c for c in ingester.children if any("spawn_main" in part for part in c.cmdline())), None)


def test_nothing_is_lost_or_doubled_when_one_process_after_the_other_is_killed(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    messages = list(stream(_SEED, 400, class_sizes=(8, 24), disorder=0.3, repeats=0.1))
    half = len(messages) // 2
    settings = {"ingest_processes": "2", "batch_max_messages": "150"}

    def wait_for(number: int) -> None:
        wait_until(
            lambda: taken_in(store) >= number,
            what=f"{number} messages are ingested",
            deadline_s=120,
            state=lambda: taken_in(store),
        )

    ingester = ras.start("ingest", **settings).wait_until_ready()
    sent = ras_topics.send(messages[:half])
    wait_until(lambda: _second(ingester) is not None, what="a second process has started", deadline_s=60)
    first_second = _second(ingester)
    assert first_second is not None
    first_second.kill()
    wait_for(half)
    assert ingester.health == "ok"

    ingester.kill()
    ingester = ras.start(
        "ingest", consumer_group=f"{ras.consumer_group}-later", **settings
    ).wait_until_ready()
    sent += ras_topics.send(messages[half : half + half // 2])
    wait_until(lambda: _second(ingester) is not None, what="a second process has started", deadline_s=60)
    orphan = _second(ingester)
    assert orphan is not None
    ingester.kill()
    wait_until(lambda: not orphan.is_running(), what="the second process has ended, too", deadline_s=60)

    ingester = ras.start("ingest", consumer_group=f"{ras.consumer_group}-last", **settings).wait_until_ready()
    sent += ras_topics.send(messages[half + half // 2 :])
    wait_for(len(messages))
    assert ingester.terminate() == 0, ingester.output
    check_taken_in_once(store, ras_topics, sent)
    check_as_undisturbed(store, messages)
