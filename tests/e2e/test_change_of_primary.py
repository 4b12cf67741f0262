"""The primary of two PostgreSQL servers is lost and its standby takes over: roles follow, and lose and repeat nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
import pytest

from infrastructure.demo.stream import stream
from infrastructure.postgres.schema import initialise
from tests.support.accounts import check_published_once, check_taken_in_once, taken_in, wait_until_settled
from tests.support.own_postgres import OwnPostgres
from tests.support.postgres_probe import probe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_125, 6, class_sizes=(1, 8)))
_DEADLINE_S: Final = 120.0


class _Pair(NamedTuple):
    primary: OwnPostgres
    standby: OwnPostgres

    @property
    def url(self) -> str:
        """Both servers; RAS finds the one that takes writes."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self)
        return f"postgresql://postgres@{hosts}/ras?target_session_attrs=read-write"


@pytest.fixture
def pair() -> Iterator[_Pair]:
    """A primary with the tables of RAS, whose commits wait for its standby."""
    with OwnPostgres() as primary, OwnPostgres(standby_of=primary) as standby:
        primary.configure(synchronous_standby_names="standby")
        with psycopg.connect(primary.url(), autocommit=True) as dba:
            wait_until(
                lambda: (
                    dba.execute(
                        "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                    ).fetchone()
                    == (1,)
                ),
                what="the standby follows",
                deadline_s=_DEADLINE_S,
            )
        initialise(primary.url())
        yield _Pair(primary, standby)


def test_roles_follow_a_change_of_primary_and_nothing_is_lost_or_repeated(
    pair: _Pair, ras_topics: Topics, tmp_path: Path
) -> None:
    half = len(_MESSAGES) // 2
    with Installation(pair.url, ras_topics.bootstrap_servers, tmp_path) as ras:
        roles = [ras.start(name).wait_until_ready() for name in ("ingest", "publish", "project", "serve")]
        sent = ras_topics.send(_MESSAGES[:half])
        with probe(pair.primary.url()) as store:
            wait_until(lambda: taken_in(store) > 0, what="the ingester is at work", deadline_s=_DEADLINE_S)

        pair.primary.kill()
        sent += ras_topics.send(_MESSAGES[half:])
        for role in roles:
            wanted = "failed" if role.name == "serve" else "degraded"
            role.wait_for_health(wanted, saying="target_session_attrs", deadline_s=_DEADLINE_S)
        command = ras.run("outbox")
        assert command.exit_code == 1
        assert "Name the primary among its hosts" in command.output

        pair.standby.promote()
        for role in roles:
            assert role.wait_for_health("ok", deadline_s=_DEADLINE_S) == ""
            assert "Traceback" not in role.output
        with probe(pair.standby.url()) as store:
            wait_until_settled(store, ras_topics, ras.transactional_id)
            check_taken_in_once(store, ras_topics, sent)
            check_published_once(store, ras_topics, ras.transactional_id)


def test_a_standby_alone_is_readable_and_writers_say_that_it_takes_no_writes(
    pair: _Pair, ras_topics: Topics, tmp_path: Path
) -> None:
    with Installation(pair.standby.url(), ras_topics.bootstrap_servers, tmp_path) as ras:
        reads = ras.start("serve").wait_until_ready()
        writers = [ras.start(name) for name in ("publish", "project")]
        ras_topics.send(_MESSAGES)
        ingester = ras.start("ingest")
        init, status = ras.run("init"), ras.run("status")

        assert (init.exit_code, status.exit_code) == (1, 0), init.output + status.output
        assert "The database takes no writes" in init.output
        assert reads.health == "ok"
        for role in (*writers, ingester):
            role.wait_for_health("degraded", saying="The database takes no writes", deadline_s=_DEADLINE_S)
            assert "Traceback" not in role.output
