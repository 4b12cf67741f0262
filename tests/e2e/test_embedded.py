"""`ras up` without any server: what it brings with it, and what its limits ask of everybody."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
import pytest

from application.topics import SPELLCHECK_RESULTS
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from tests.support.accounts import all_is_projected, all_is_published, taken_in
from tests.support.memory_folder import memory_folder
from tests.support.postgres_probe import PostgresProbe, probe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Sender
from tests.support.waiting import wait_until

_FIRST: Final = list(stream(20_261_201, 8, class_sizes=(2, 6), repeats=0.2))
_SECOND: Final = list(stream(20_261_202, 4, class_sizes=(2, 6)))
_PUBLISHER: Final = "ras-publisher"


class Embedded:
    """Everything on this machine, on the data of one folder."""

    def __init__(self, ras: Installation, home: Path) -> None:
        self.said = ""
        self._ras = ras
        self._settings = {
            "home": str(home),
            "api_port": "0",
            "assessments_port": "0",
            "transactional_id": _PUBLISHER,
        }

    @contextmanager
    def up(self, *, ends_with: int = 0) -> Iterator[dict[str, str]]:
        """Run `ras up` and lend what it says of where everything is; ends it in order, or waits for its failure."""
        process = self._ras.start_afresh("up", "--json", **self._settings)
        wait_until(
            lambda: '"api"' in process.output or process.exit_code is not None,
            what="`ras up` is ready",
            deadline_s=90,
            state=lambda: process.output,
        )
        assert process.exit_code is None, process.output
        [line] = [line for line in process.output.splitlines() if line.startswith('{"kafka"')]
        yield json.loads(line)
        assert (process.wait_for_end(deadline_s=60) if ends_with else process.terminate()) == ends_with
        self.said = process.output

    def another(self) -> RoleProcess:
        """Start `ras up` once more on the same folder."""
        return self._ras.start_afresh("up", **self._settings)

    def run(self, *arguments: str, deadline_s: float = 20) -> RoleProcess:
        """Run a command in another terminal, which knows the folder only."""
        process = self._ras.start(*arguments, **self._settings)
        process.wait_for_end(deadline_s=deadline_s)
        return process

    def checked(self, *options: str) -> dict[str, Any]:
        """Return what `ras check` says."""
        found: dict[str, Any] = json.loads(
            self.run("check", "--json", *options).output.strip().splitlines()[-1]
        )
        return found


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    """No data yet, and nothing runs."""
    with new_home(tmp_path) as embedded:
        yield embedded


@contextmanager
def new_home(logs: Path) -> Iterator[Embedded]:
    """Lend a folder without data; what runs on it writes its output to `logs`."""
    with memory_folder() as folder, Installation("", "", logs) as ras:
        yield Embedded(ras, folder / "home")


@dataclass(frozen=True)
class Restarted:
    """What was seen of three starts on one folder, the second of which a person made at a terminal."""

    first: dict[str, str]
    second_printed: str
    second_exit_code: int
    reports: list[dict[str, Any]]


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Restarted:
    """Three starts, after each of which messages come and all is checked, the whole of it and what is new."""
    reports: list[dict[str, Any]] = []
    with new_home(tmp_path_factory.mktemp("restarted")) as embedded:

        def settle_and_check(where: dict[str, str], messages: Iterable[UpstreamMessage]) -> None:
            send(where, messages)
            reports.extend(embedded.checked(*options) for options in ((), ("--incremental",)))

        with embedded.up() as first:
            settle_and_check(first, _FIRST)
        second = embedded.another()
        wait_until(
            lambda: "export RAS_HOME=" in second.output,
            what="RAS is running",
            deadline_s=90,
            state=lambda: second.output,
        )
        settle_and_check(first, _SECOND)
        exit_code = second.terminate()
        with embedded.up() as third:
            settle_and_check(third, _FIRST[: len(_FIRST) // 2])
        return Restarted(first, second.output, exit_code, reports)


def send(where: dict[str, str], messages: Iterable[UpstreamMessage]) -> None:
    """Send messages to the broker of `ras up` and wait until all is done with them."""
    with probe(where["database_url"]) as store, Sender(where["kafka"]) as sender:
        due = taken_in(store) + len(sender.send(messages))
        wait_until(lambda: is_settled(store, due), what="all is done", deadline_s=60, state=store.positions)


def is_settled(store: PostgresProbe, due: int) -> bool:
    """Whether `due` messages are ingested, and what follows from them is published and projected."""
    return taken_in(store) == due and all_is_published(store, _PUBLISHER) and all_is_projected(store)


def test_it_is_checked_well_after_each_start_although_its_broker_begins_empty(restarted: Restarted) -> None:
    assert [(report["findings"], report["consistent"]) for report in restarted.reports] == [([], True)] * 6


def test_it_starts_again_when_its_last_events_were_removed(embedded: Embedded) -> None:
    with embedded.up() as where:
        send(where, _FIRST)
        with probe(where["database_url"]) as store:
            last = store.value("SELECT max(notification_id) FROM ras.stored_events")
            store.execute(
                "UPDATE ras.positions SET position = %s WHERE name = %s", last, f"publisher/{_PUBLISHER}"
            )
            store.execute("DELETE FROM ras.stored_events WHERE notification_id > %s", last - 3)

    with embedded.up() as where, probe(where["database_url"]) as store:
        before = store.value("SELECT max(notification_id) FROM ras.stored_events")
        assert before == last - 3
        with Sender(where["kafka"]) as sender:
            sender.send(_SECOND)
        wait_until(
            lambda: is_settled(store, len(_FIRST) + len(_SECOND)),
            what="it goes on",
            deadline_s=60,
            state=store.positions,
        )


def test_what_its_broker_drops_before_it_is_taken_in_ends_it_with_the_reason(embedded: Embedded) -> None:
    with embedded.up(ends_with=1) as where:
        messages = [replace(_FIRST[0], topic=SPELLCHECK_RESULTS, key=b"one", value=b"x" * 1_000_000)] * 40
        with psycopg.connect(where["database_url"]) as holding, Sender(where["kafka"]) as sender:
            holding.execute(
                "LOCK TABLE ras.stored_events IN EXCLUSIVE MODE"
            )  # nothing can be ingested meanwhile
            sender.send(messages)

    assert "are gone from Kafka" in embedded.said
    assert "it keeps 5 MB per partition" in embedded.said


def test_after_a_restart_its_servers_have_the_same_addresses_and_the_requests_to_paste_have_ids(
    restarted: Restarted,
) -> None:
    printed = restarted.second_printed

    assert restarted.first["database_url"] in printed
    assert f"Kafka:        {restarted.first['kafka']}\n" in printed
    [batch, teacher, essay] = re.findall(r"^(?:batch|teacher|essay)=(.+)$", printed, re.MULTILINE)
    assert batch in {message.key.decode() for message in _FIRST if message.key}
    assert "TEACHER" not in teacher
    assert "ESSAY" not in essay
    assert restarted.second_exit_code == 0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Embedded, dict[str, str]]]:
    """A `ras up` that has just begun, and what it reports of where everything is."""
    with new_home(tmp_path_factory.mktemp("running")) as embedded, embedded.up() as where:
        yield embedded, where


def test_another_one_in_the_same_folder_names_the_first_and_obeys_an_interruption(
    running: tuple[Embedded, dict[str, str]],
) -> None:
    embedded, where = running
    another = embedded.another()
    wait_until(lambda: "Waiting until it ends." in another.output, what="it waits", deadline_s=60)

    assert f"API at {where['api']}." in another.output
    assert "Another `ras up` runs on the data in" in another.output
    assert another.terminate() == 130


def test_other_commands_find_it_and_replay_sends_no_faster_than_it_takes_in(
    running: tuple[Embedded, dict[str, str]], tmp_path: Path
) -> None:
    """Forty megabytes for one partition, of which the broker keeps five."""
    embedded, where = running
    count, of_bytes = 20, 2_000_000
    large = {"prefix": "", "repeat": b64encode(b"not json ").decode(), "suffix": "", "count": of_bytes // 9}
    lines = [
        {"topic": SPELLCHECK_RESULTS, "key": "one", "headers": {}, "value": {"raw_repeat": large}}
    ] * count
    lines += [
        {"topic": m.topic, "key": (m.key or b"").decode(), "headers": {}, "value": orjson.loads(m.value)}
        for m in _FIRST
    ]
    file = tmp_path / "large.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with probe(where["database_url"]) as store:
        initialised = embedded.run("init")
        assert "The tables are ready; 0 topics created" in initialised.output

        too_large = tmp_path / "too-large.jsonl"
        larger = {**lines[0], "value": {"raw_repeat": {**large, "count": 300_000}}}
        too_large.write_text(f"{json.dumps(lines[-1])}\n{json.dumps(larger)}\n")
        refused = embedded.run("replay", str(too_large))
        assert (refused.exit_code, taken_in(store)) == (1, 0)
        assert f"Message 2, for {SPELLCHECK_RESULTS}, has 2,700,003 bytes" in refused.output

        replayed = embedded.run("replay", str(file), deadline_s=120)

        assert replayed.exit_code == 0, replayed.output
        assert f"{len(lines)} messages sent." in replayed.output
        wait_until(lambda: taken_in(store) == len(lines), what="all is ingested", state=store.positions)
        assert store.value("SELECT sum(dead_lettered) FROM ras.intake_counts") == count
