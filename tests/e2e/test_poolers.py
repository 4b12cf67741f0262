"""RAS behind PgBouncer: in session mode as it is, in transaction mode with a direct address for what needs a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.demo.stream import stream
from tests.support.accounts import check_published_once, check_taken_in_once, wait_until_settled
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics

_ROLES = ("ingest", "publish", "project", "serve", "serve-assessments")


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_all_roles_and_commands_work_behind_a_pooler(
    database_url: str, store: PostgresProbe, ras_topics: Topics, tmp_path: Path, mode: str
) -> None:
    messages = list(stream(20_260_404, 3, class_sizes=(1, 8)))
    direct = {"database_direct_url": database_url} if mode == "transaction" else {}
    with (
        pgbouncer(database_url, mode, tmp_path / "pooler") as pooled,
        Installation(pooled, ras_topics.bootstrap_servers, tmp_path) as ras,
    ):
        assert ras.run("init", **direct).exit_code == 0
        roles = [ras.start(name, **direct).wait_until_ready() for name in _ROLES]
        sent = ras_topics.send(messages)
        wait_until_settled(store, ras_topics, ras.transactional_id)
        check_taken_in_once(store, ras_topics, sent)
        check_published_once(store, ras_topics, ras.transactional_id)

        [(batch_id,)] = store.rows("SELECT batch_id FROM ras_batch_results.batches LIMIT 1")
        for _ in range(30):  # through several connections of the pooler, one after another
            assert ras.get(roles[3], f"/batches/{batch_id}/status").status_code == 200
        for command in (("check",), ("rebuild", "batch_results"), ("status",), ("history", batch_id)):
            ended = ras.run(*command, **direct)
            assert (command, ended.exit_code) == (command, 0), ended.output
        for role in roles:
            assert role.health == "ok", role.readiness()
            assert role.terminate() == 0


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("command", ["init", *_ROLES])
def test_a_pooler_whose_sessions_do_not_last_is_refused_in_one_sentence(
    database_url: str, store: PostgresProbe, ras_topics: Topics, tmp_path: Path, mode: str, command: str
) -> None:
    del store  # it has made the tables
    with (
        pgbouncer(database_url, mode, tmp_path / "pooler") as pooled,
        Installation(pooled, ras_topics.bootstrap_servers, tmp_path) as ras,
    ):
        ended = ras.start(command)
        ended.wait_for_end(deadline_s=60)

        assert ended.exit_code == 2
        assert "set RAS_DATABASE_DIRECT_URL" in ended.output
        assert "Traceback" not in ended.output
