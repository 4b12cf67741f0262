"""PostgreSQL has no connection left: roles report that, wait and go on by themselves; commands end with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg
import pytest

from infrastructure.demo.stream import stream
from infrastructure.postgres.schema import initialise
from tests.support.accounts import check_published_once, check_taken_in_once, wait_until_settled
from tests.support.own_postgres import OwnPostgres
from tests.support.postgres_probe import probe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_ROLES: Final = ("ingest", "publish", "project", "serve", "serve-assessments")
_COMMANDS: Final = (
    ("init",),
    ("status",),
    ("check",),
    ("rebuild", "batch_results"),
    ("history", "a-batch"),
    ("dead-letters", "list"),
)
_FULL: Final = "PostgreSQL has no free connection"
_DEADLINE_S: Final = 120.0


@pytest.fixture
def small() -> Iterator[OwnPostgres]:
    """A server with few connections, with the tables of RAS in it."""
    with OwnPostgres(max_connections="60") as server:
        initialise(server.url())
        yield server


def test_roles_wait_for_a_free_connection_and_commands_say_that_there_is_none(
    small: OwnPostgres, ras_topics: Topics, tmp_path: Path
) -> None:
    messages = list(stream(20_261_126, 3, class_sizes=(1, 3)))
    with Installation(small.url(), ras_topics.bootstrap_servers, tmp_path) as ras:
        running = [ras.start(name, retry_max_s="2").wait_until_ready() for name in _ROLES]
        with psycopg.connect(small.url(), autocommit=True) as dba:
            others: list[psycopg.Connection[tuple[object, ...]]] = []

            def take_all_connections() -> None:
                """Others take every connection that is free; those of RAS break, as after a restart of the server."""
                while dba.execute(_END_OTHERS).rowcount or not others:
                    with suppress(psycopg.OperationalError):
                        while True:
                            others.append(psycopg.connect(small.url(), application_name="another program"))

            def all_report_it() -> bool:
                take_all_connections()  # a role may have found one that was free for a moment
                return all(_FULL in _reasons(role) for role in (*running, starting))

            take_all_connections()
            sent = ras_topics.send(messages)
            starting = ras.start("project", retry_max_s="2")
            wait_until(
                all_report_it,
                what="every role reports it",
                deadline_s=_DEADLINE_S,
                state=lambda: [(role.name, role.readiness()) for role in (*running, starting)],
                interval_s=0.2,
            )
            assert {role.name: role.health for role in running} == {
                name: "failed" if name.startswith("serve") else "degraded" for name in _ROLES
            }
            for arguments in _COMMANDS:
                command = ras.run(*arguments)
                assert command.exit_code == 1, (command.name, command.output)
                assert _FULL in command.output, (command.name, command.output)
                assert "Raise max_connections" in command.output
                assert "Traceback" not in command.output
            assert starting.terminate() == 0
            for other in others:
                other.close()

        for role in running:
            assert role.wait_for_health("ok", deadline_s=_DEADLINE_S) == ""
            assert "Traceback" not in role.output
        with probe(small.url()) as store:
            wait_until_settled(store, ras_topics, ras.transactional_id)
            check_taken_in_once(store, ras_topics, sent)
            check_published_once(store, ras_topics, ras.transactional_id)


_END_OTHERS: Final = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_type = 'client backend' "
    "AND pid <> pg_backend_pid() AND application_name <> 'another program'"
)


def _reasons(role: RoleProcess) -> str:
    return " ".join(check["reason"] for check in role.readiness().get("checks", ()))
