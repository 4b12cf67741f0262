"""`ras up` without any server: what it brings with it, and what its limits ask of everybody."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from tests.support.accounts import all_is_projected, all_is_published, taken_in
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
        self._ras = ras
        self._settings = {
            "home": str(home),
            "api_port": "0",
            "assessments_port": "0",
            "transactional_id": _PUBLISHER,
        }

    @contextmanager
    def up(self) -> Iterator[dict[str, str]]:
        """Run `ras up` and lend what it says of where everything is; ends it in order."""
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
        assert process.terminate() == 0, process.output

    def run(self, *arguments: str, **settings: str) -> RoleProcess:
        """Run a command in another terminal, which knows the folder only."""
        return self._ras.run(*arguments, **self._settings, **settings)

    def checked(self, *options: str) -> dict[str, Any]:
        """Return what `ras check` says."""
        found: dict[str, Any] = json.loads(
            self.run("check", "--json", *options).output.strip().splitlines()[-1]
        )
        return found


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    """No data yet, and nothing runs."""
    with Installation("", "", tmp_path) as ras:
        yield Embedded(ras, tmp_path / "home")


def send(where: dict[str, str], messages: Iterable[UpstreamMessage]) -> None:
    """Send messages to the broker of `ras up` and wait until all is done with them."""
    with probe(where["database_url"]) as store, Sender(where["kafka"]) as sender:
        due = taken_in(store) + len(sender.send(messages))
        wait_until(lambda: is_settled(store, due), what="all is done", deadline_s=60, state=store.positions)


def is_settled(store: PostgresProbe, due: int) -> bool:
    """Whether `due` messages are taken in, and what follows from them is published and projected."""
    return taken_in(store) == due and all_is_published(store, _PUBLISHER) and all_is_projected(store)


def test_it_is_checked_well_after_each_start_although_its_broker_begins_empty(embedded: Embedded) -> None:
    for messages in (_FIRST, _SECOND, _FIRST[: len(_FIRST) // 2]):
        with embedded.up() as where:
            send(where, messages)
            for options in ((), ("--incremental",)):
                report = embedded.checked(*options)
                assert (report["findings"], report["consistent"]) == ([], True)


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
            lambda: all_is_published(store, _PUBLISHER) and taken_in(store) >= len(_FIRST) + len(_SECOND),
            what="it goes on",
            deadline_s=60,
            state=store.positions,
        )
