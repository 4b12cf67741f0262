"""The database is there and gives no answer: it is noticed within seconds, and the roles recover or end in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from infrastructure.demo.stream import stream
from tests.support.accounts import check_published_once, check_taken_in_once, taken_in, wait_until_settled
from tests.support.freezing_proxy import FreezingProxy
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_ROLES = ("ingest", "publish", "project", "serve")
_DEADLINE_S = 120.0


@pytest.fixture
def proxy(database_url: str) -> Iterator[FreezingProxy]:
    """A proxy before the database."""
    port = urlsplit(database_url).port
    assert port is not None, "the server listens on TCP"
    with FreezingProxy(port) as running:
        yield running


@pytest.fixture
def ras(
    database_url: str, store: PostgresProbe, ras_topics: Topics, proxy: FreezingProxy, tmp_path: Path
) -> Iterator[Installation]:
    """RAS behind the proxy."""
    del store  # it has made the tables
    parts = urlsplit(database_url)
    behind = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}").geturl()
    with Installation(behind, ras_topics.bootstrap_servers, tmp_path) as installation:
        yield installation


def test_frozen_connections_are_noticed_and_replaced_and_the_roles_can_be_ended(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, proxy: FreezingProxy
) -> None:
    messages = list(stream(20_260_401, 6, class_sizes=(1, 8)))
    half = len(messages) // 2
    roles = [ras.start(name, shutdown_timeout_s="8").wait_until_ready() for name in _ROLES]
    ingester, publisher, projector, _ = roles
    sent = ras_topics.send(messages[:half])
    wait_until_settled(store, ras_topics, ras.transactional_id)

    assert proxy.freeze() > len(roles)
    sent += ras_topics.send(messages[half:])
    for role in (ingester, projector, publisher):
        assert role.wait_for_health("degraded", deadline_s=_DEADLINE_S)

    for role in roles:
        role.wait_for_health("ok", deadline_s=_DEADLINE_S)
    wait_until(lambda: taken_in(store) == len(sent), what="all is ingested", deadline_s=_DEADLINE_S)
    wait_until_settled(store, ras_topics, ras.transactional_id)
    check_taken_in_once(store, ras_topics, sent)
    check_published_once(store, ras_topics, ras.transactional_id)

    proxy.freeze()
    for role in roles:
        assert role.terminate() in {0, 1}, f"`ras {role.name}` had to be killed"
        assert "Traceback" not in role.output


def test_intake_that_waits_for_a_lock_is_degraded_before_it_has_failed(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, database_url: str
) -> None:
    ingester = ras.start("ingest").wait_until_ready()
    with psycopg.connect(database_url) as dba:
        dba.execute("LOCK TABLE ras.stored_events IN SHARE MODE")  # as CREATE INDEX does
        sent = ras_topics.send(list(stream(20_260_402, 1, class_sizes=(1,))))
        ingester.wait_for_health("degraded", saying="another session holds a lock")
        reported = "SELECT count(*) FROM ras.role_status WHERE condition = 'degraded'"
        wait_until(lambda: store.value(reported) > 0, what="ras status shows it")
    wait_until(lambda: taken_in(store) == len(sent), what="intake goes on by itself")
    assert ingester.wait_for_health("ok") == ""
