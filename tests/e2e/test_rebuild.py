"""`ras rebuild` while everything runs: under load, killed at several points, proven, and heard by nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, LiteralString

import psycopg

from infrastructure.demo.stream import stream
from projections.batch_results import batch_results
from projections.catalogue import PROJECTIONS
from tests.support.accounts import (
    all_is_projected,
    all_is_taken_in,
    check_as_undisturbed,
    check_published_once,
    check_taken_in_once,
    wait_until_settled,
)
from tests.support.postgres_probe import PostgresProbe
from tests.support.projecting import connected
from tests.support.read_models import everything
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_SEED = 20_260_324
_NOWHERE = "127.0.0.1:1"
_END_S = 120.0


def rebuilding(ras: Installation, *arguments: str) -> RoleProcess:
    """Start a rebuild that could not reach Kafka if it tried."""
    return ras.start("rebuild", *arguments, kafka_bootstrap_servers=_NOWHERE)


def outcome(process: RoleProcess) -> dict[str, Any]:
    """Wait for the end of a run with `--json` and return what it printed."""
    assert process.wait_for_end(deadline_s=_END_S) == 0, process.output
    [line] = [line for line in process.output.splitlines() if line.startswith('{"r')]
    printed: dict[str, Any] = json.loads(line)
    return printed


@contextmanager
def held(database_url: str, statement: LiteralString) -> Iterator[None]:
    """Hold the locks that a statement takes."""
    with psycopg.connect(database_url) as connection:
        connection.execute(statement)
        yield
        connection.rollback()


def test_a_rebuild_under_load_that_is_killed_again_and_again(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    dice = Random(_SEED)
    messages = list(stream(_SEED, 90, class_sizes=(1, 8, 24), disorder=0.3, repeats=0.1))
    share = len(messages) // 6 + 1
    parts = [messages[begin : begin + share] for begin in range(0, len(messages), share)]
    roles = [ras.start(name) for name in ("ingest", "publish", "project", "serve")]
    for role in roles:
        role.wait_until_ready()
    api = roles[-1]
    sent = ras_topics.send(parts[0])
    wait_until(
        lambda: store.value("SELECT count(*) FROM ras_batch_results.batches WHERE user_id IS NOT NULL") > 0,
        what="a batch can be asked for",
    )
    batch_id = store.value("SELECT batch_id FROM ras_batch_results.batches WHERE user_id IS NOT NULL LIMIT 1")

    def answers() -> None:
        assert ras.get(api, f"/batches/{batch_id}/status").status_code == 200

    # Killed while it waits to compare, while it waits to switch, and whenever.
    sent += ras_topics.send(parts[1])
    with held(
        ras.database_url, "SELECT FROM ras.positions WHERE name = 'projection/batch_results' FOR UPDATE"
    ):
        run = rebuilding(ras)
        _wait_for_state(store, run, "catching_up")
        run.kill()
    answers()
    sent += ras_topics.send(parts[2])
    with held(ras.database_url, "LOCK TABLE ras_batch_results.phases IN ACCESS SHARE MODE"):
        run = rebuilding(ras)
        _wait_for_state(store, run, "proven")
        answers()
        run.kill()
    sent += ras_topics.send(parts[3])
    for _ in range(3):
        run = rebuilding(ras)
        begun = store.value("SELECT coalesce(sum(position), 0) FROM ras.rebuilds")
        ahead = dice.choice((0, 1, 500))
        wait_until(
            lambda run=run, begun=begun, ahead=ahead: (  # type: ignore[misc]
                run.exit_code is not None
                or store.value("SELECT coalesce(sum(position), 0) FROM ras.rebuilds") >= begun + ahead
            ),
            what="it has come on",
        )
        run.kill()
        answers()

    sent += ras_topics.send(parts[4])
    run = rebuilding(ras, "--json")
    sent += ras_topics.send(parts[5])
    answers()
    rebuilt = outcome(run)["rebuilt"]
    answers()

    assert {each["name"]: each["state"] for each in rebuilt} == {p.name: "swapped" for p in PROJECTIONS}
    assert all(each["proven_at"] is not None for each in rebuilt)
    wait_until_settled(store, ras_topics, ras.transactional_id)
    check_taken_in_once(store, ras_topics, sent)
    check_published_once(store, ras_topics, ras.transactional_id)  # and nothing besides
    check_as_undisturbed(store, messages)
    assert store.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'ras\\_%%\\_\\_new'") == 0

    with connected(ras.database_url) as connection:
        followed = everything(connection)
    again = outcome(rebuilding(ras, "--json"))["rebuilt"]
    with connected(ras.database_url) as connection:
        assert everything(connection) == followed
    assert sum(each["rows"] for each in again) == sum(map(len, followed.values()))
    assert all(role.health == "ok" for role in roles)


def test_what_is_asked_wrongly_is_refused_in_a_sentence_and_changes_nothing(
    ras: Installation, store: PostgresProbe
) -> None:
    unknown = ras.run("rebuild", "batch_results", "nonsense")
    assert unknown.exit_code == 2
    assert "There is no read model nonsense; there are batch_results, " in " ".join(unknown.output.split())

    no_way_back = ras.run("rebuild", "--rollback")
    assert no_way_back.exit_code == 1
    assert no_way_back.output == (
        "ras: No read model has an earlier side to go back to. Nothing was changed.\n"
    )

    with store.holding(0x52415305):
        second = ras.run("rebuild")
    assert second.exit_code == 1
    assert second.output == (
        "ras: Another `ras rebuild` is running on this database: wait for its end. Nothing was changed.\n"
    )
    assert store.value("SELECT count(*) FROM ras.rebuilds") == 0


def test_a_refused_switch_names_the_row_and_the_way_back_is_a_command(
    ras: Installation, store: PostgresProbe
) -> None:
    assert outcome(rebuilding(ras, "batch_results", "--json"))["rebuilt"][0]["state"] == "swapped"
    store.execute(
        "INSERT INTO ras_batch_results.phases"
        " (batch_id, phase, status, processed_count, failed_essay_ids, concluded_at)"
        " VALUES ('batch-7', 'nlp', 'completed_successfully', 0, '[]', now())"
    )

    refused = rebuilding(ras, "batch_results")
    assert refused.wait_for_end(deadline_s=_END_S) == 1
    assert "phases batch_id=batch-7, phase=nlp: only the live side has this row" in refused.output
    assert "run `ras rebuild batch_results --accept-differences`" in refused.output

    turned = outcome(rebuilding(ras, "batch_results", "--rollback", "--json"))
    assert turned["rolled_back"] == [
        {"name": "batch_results", "version": batch_results.version, "position": 0, "is_followed": True}
    ]
    assert store.value("SELECT count(*) FROM ras_batch_results.phases") == 0


def _wait_for_state(store: PostgresProbe, run: RoleProcess, state: str) -> None:
    wait_until(
        lambda: bool(
            store.rows("SELECT FROM ras.rebuilds WHERE name = 'batch_results' AND state = %s", state)
        ),
        what=f"the rebuild is {state}",
        state=lambda: run.output,
    )


def test_ras_up_rebuilds_what_an_upgrade_needs_before_its_roles_start(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    with ended(ras.start("ingest").wait_until_ready()):
        ras_topics.send(stream(_SEED, 5, class_sizes=(2, 8)))
        wait_until(lambda: all_is_taken_in(store, ras_topics), what="everything is ingested")
    store.execute("DROP SCHEMA ras_teacher_inbox CASCADE")
    store.execute("DELETE FROM ras.read_models WHERE name = 'teacher_inbox'")
    store.execute("UPDATE ras.read_models SET version = 0 WHERE name = 'dead_letters'")

    init = ras.run("init", "--json")
    assert init.exit_code == 0, init.output
    assert json.loads(init.output)["to_rebuild"] == ["teacher_inbox", "dead_letters"]

    everything_at_once = ras.start_afresh("up", "--json", api_port="0", assessments_port="0")
    wait_until(
        lambda: '"database_url"' in everything_at_once.output,
        what="`ras up` is ready",
        deadline_s=_END_S,
        state=lambda: everything_at_once.output,
    )
    wait_until(lambda: all_is_projected(store), what="everything is projected")
    assert store.value("SELECT count(*) FROM ras_teacher_inbox.notifications") > 0
    assert dict(store.rows("SELECT name, version FROM ras.read_models")) == {
        projection.name: projection.version for projection in PROJECTIONS
    }
    everything_at_once.terminate()


@contextmanager
def ended(role: RoleProcess) -> Iterator[None]:
    """End a role with the block."""
    yield
    role.terminate()
