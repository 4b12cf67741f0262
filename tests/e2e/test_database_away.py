"""PostgreSQL becomes unavailable, in order or by a crash, and comes back: every role waits and goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.demo.stream import stream
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.postgres.schema import initialise
from tests.support.accounts import (
    check_as_undisturbed,
    check_published_once,
    check_taken_in_once,
    taken_in,
    wait_until_settled,
)
from tests.support.postgres_probe import probe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_SEED = 20_260_312


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server that this test may stop, with the tables of RAS in it."""
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        initialise(server.url)
        yield server


@pytest.mark.parametrize("crashes", [False, True], ids=["stopped", "crashed"])
def test_roles_wait_for_the_database_and_go_on_by_themselves(
    postgres: EmbeddedPostgres, ras_topics: Topics, tmp_path: Path, crashes: bool
) -> None:
    messages = list(stream(_SEED, 30, class_sizes=(1, 8, 24)))
    third = len(messages) // 3
    with Installation(postgres.url, ras_topics.bootstrap_servers, tmp_path) as ras:
        roles = [ras.start(name) for name in ("ingest", "publish", "project")]
        ingester, publisher, projector = (role.wait_until_ready() for role in roles)
        api = ras.start("serve").wait_until_ready()
        sent = ras_topics.send(messages[:third])
        with probe(postgres.url) as store:
            wait_until(lambda: taken_in(store) > 0, what="the ingester is at work")
        if crashes:
            postgres.kill()
        else:
            postgres.stop()

        sent += ras_topics.send(messages[third : 2 * third])
        for role in (ingester, publisher, projector):
            role.wait_for_health("degraded", saying="The database does not answer")
        api.wait_for_health("failed")
        assert all(role.exit_code is None for role in (*roles, api))

        postgres.start()
        for role in (*roles, api):
            assert role.wait_for_health("ok") == ""
        sent += ras_topics.send(messages[2 * third :])
        with probe(postgres.url) as store:
            wait_until_settled(store, ras_topics, ras.transactional_id)
            check_taken_in_once(store, ras_topics, sent)
            check_published_once(store, ras_topics, ras.transactional_id)
            check_as_undisturbed(store, messages)
            [(ready,)] = store.rows(
                "SELECT count(*) FROM ras_batch_results.batches WHERE overall_status IS NOT NULL"
            )
            assert ready == 30
