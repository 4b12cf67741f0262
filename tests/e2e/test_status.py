"""`ras status` as operators read it: positions, lags, rates and last errors, of roles alive and dead."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from application.topics import SPELLCHECK_RESULTS
from domain.batch_events import NOTIFIED_EVENTS
from infrastructure.local.processes import free_port
from tests.support.accounts import taken_in
from tests.support.ingesting import messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.waiting import wait_until

Reader = dict[str, Any]


def readers(ras: Installation, **settings: str) -> list[Reader]:
    """Return what `ras status --json` shows."""
    shown = ras.run("status", "--json", **settings)
    assert shown.exit_code == 0, shown.output
    found: list[Reader] = json.loads(shown.output)["readers"]
    return found


def of_role(shown: Sequence[Reader], role: str) -> list[Reader]:
    return [reader for reader in shown if reader["role"] == role]


def wait_for_report(store: PostgresProbe, holds: Callable[[dict[str, tuple[str, str | None]]], bool]) -> None:
    """Wait until what the roles have reported is as wanted; they report once a second."""

    def reported() -> dict[str, tuple[str, str | None]]:
        rows = store.rows("SELECT reader, condition, last_error FROM ras.role_status")
        return {reader: (condition, error) for reader, condition, error in rows}

    wait_until(lambda: holds(reported()), what="the roles report so", state=reported)


def test_status_shows_the_way_of_a_batch_through_the_roles(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    messages = messages_of(small_batch())
    ras_topics.send(messages)
    before = readers(ras)
    assert of_role(before, "ingest") == [], "no ingester has run yet"
    assert {(r["condition"], r["owner"]) for r in before} == {(None, None)}

    ingester = ras.start("ingest").wait_until_ready()
    wait_until(lambda: taken_in(store) == len(messages), what="all is in", state=store.counts)
    wait_for_report(store, lambda reports: reports.get("ingester", ("", ""))[0] == "ok")
    ingested = readers(ras)
    ingests, [publish] = of_role(ingested, "ingest"), of_role(ingested, "publish")
    assert {(r["lag"], r["lag_seconds"]) for r in ingests} == {(0, 0.0)}
    assert {r["condition"] for r in ingests} == {"ok"}
    assert sum(r["head"] + 1 for r in ingests) == len(messages)
    outgoing = store.value(
        "SELECT count(*) FROM ras.stored_events WHERE topic = ANY(%s)",
        [each.topic for each in NOTIFIED_EVENTS],
    )
    assert (publish["position"], publish["lag"]) == (None, outgoing)
    assert publish["lag_seconds"] > 0
    for projection in of_role(ingested, "project"):
        assert projection["head"] == store.value("SELECT max(notification_id) FROM ras.stored_events")

    ingester.terminate()
    more = ras_topics.send(messages_of(small_batch("more")))
    ended = of_role(readers(ras), "ingest")
    assert {r["condition"] for r in ended} == {"stopped"}
    assert sum(r["lag"] for r in ended) == len(more)
    assert all(r["lag_seconds"] is not None for r in ended if r["lag"])

    publisher = ras.start("publish").wait_until_ready()
    wait_until(
        lambda: of_role(readers(ras), "publish")[0]["lag"] == 0, what="all is out", state=store.positions
    )
    assert publisher.terminate() == 0


def test_the_last_error_outlives_its_process(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    """A publisher that refuses to start has said why; hours later an operator wants to know."""
    store.execute(
        "INSERT INTO ras.positions (name, position) VALUES (%s, 7)", f"publisher/{ras.transactional_id}"
    )
    assert ras.start("publish").wait_for_end() == 1

    [publish] = of_role(readers(ras), "publish")

    assert publish["condition"] == "stopped"
    assert "the topic has lost its memory" in publish["last_error"]
    assert publish["last_error_at"] is not None


def test_what_a_role_waits_for_is_shown_and_remembered(ras: Installation, store: PostgresProbe) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    waiting = ras.start("ingest", kafka_bootstrap_servers=nowhere)
    wait_for_report(store, lambda reports: reports.get("ingester", ("", ""))[0] == "degraded")

    [ingest] = of_role(readers(ras, kafka_bootstrap_servers=nowhere), "ingest")

    assert (ingest["source"], ingest["condition"]) == ("no partition yet", "degraded")
    assert "Kafka does not answer" in ingest["last_error"]

    store.execute(
        "INSERT INTO ras.positions (name, position) VALUES (%s, 4)", f"intake/{SPELLCHECK_RESULTS}/0"
    )
    shown = json.loads(ras.run("status", "--json", kafka_bootstrap_servers=nowhere).output)
    [ingest] = of_role(shown["readers"], "ingest")

    assert (ingest["position"], ingest["head"], ingest["lag"]) == (4, None, None)
    assert ingest["condition"] == "degraded"
    assert "Kafka does not answer" in shown["faults"][0]
    waiting.terminate()


def test_status_is_watched_until_it_is_interrupted(ras: Installation, store: PostgresProbe) -> None:
    watching = ras.start("status", "--watch", "--json", "--interval", "0.5")
    wait_until(
        lambda: watching.output.count("\n") >= 2, what="it is shown twice", state=lambda: watching.output
    )

    code = watching.terminate()

    assert code == 0
    for line in watching.output.splitlines():
        assert {r["role"] for r in json.loads(line)["readers"]} == {"publish", "project"}


def test_into_a_pipe_one_table_comes_after_the_other(ras: Installation, store: PostgresProbe) -> None:
    watching = ras.start("status", "--watch", "--interval", "0.5")
    wait_until(
        lambda: watching.output.count("teacher_inbox") >= 2, what="two tables", state=lambda: watching.output
    )

    assert watching.terminate() == 0


def test_the_table_names_every_reader(ras: Installation, ras_topics: Topics, store: PostgresProbe) -> None:
    store.execute(
        "INSERT INTO ras.positions (name, position) VALUES (%s, -1)", f"intake/{SPELLCHECK_RESULTS}/2"
    )
    ras_topics.send(m for m in messages_of(small_batch()) if m.topic == SPELLCHECK_RESULTS)

    table = ras.run("status").output

    for name in (f"{SPELLCHECK_RESULTS}/2", ras.transactional_id, "batch_results", "teacher_inbox"):
        assert name in table
    assert "Traceback" not in table


@pytest.mark.parametrize("interval", ["0", "soon"])
def test_an_interval_that_makes_no_sense_is_refused(nowhere: Installation, interval: str) -> None:
    assert nowhere.run("status", "--watch", "--interval", interval).exit_code == 2


def test_status_finds_the_servers_of_ras_up(ras: Installation, tmp_path: Path) -> None:
    """In another terminal, without any setting but the folder."""
    alone = {"database_url": "", "kafka_bootstrap_servers": "", "home": str(tmp_path / "home")}
    refused = ras.run("status", **alone)
    assert refused.exit_code == 2
    assert "no `ras up` runs on the data in" in refused.output

    everything = ras.start_afresh("up", "--json", api_port="0", assessments_port="0", **alone)
    wait_until(
        lambda: '"api"' in everything.output or everything.exit_code is not None,
        what="`ras up` is ready",
        deadline_s=90,
        state=lambda: everything.output,
    )
    shown = readers(ras, transactional_id="ras-publisher", **alone)
    assert {r["role"] for r in shown} == {"ingest", "publish", "project"}
    for command in (("check", "--json"), ("outbox", "--json"), ("dead-letters", "list", "--json")):
        looking = ras.run(*command, **alone)
        assert looking.exit_code == 0, looking.output
    assert (tmp_path / "home" / "running.json").stat().st_mode & 0o077 == 0
    _ended(everything)
    assert not (tmp_path / "home" / "running.json").exists()


def _ended(process: RoleProcess) -> None:
    code = process.terminate()
    assert code == 0, process.output
