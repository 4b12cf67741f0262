"""The assessment app hangs, dies and comes back while clients ask RAS all the time: they get their answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from infrastructure.local.processes import free_port
from tests.support.given import assessed, caused_by, registered, spellchecked
from tests.support.judging import Job, round_robin
from tests.support.projecting import Chain
from tests.support.role_process import Installation, RoleProcess
from tests.support.waiting import wait_until

_ESSAYS: Final = ["e1", "e2", "e3", "e4"]
_ENRICHED: Final = (
    "/batches/judged/status?include=assessment",
    "/essays/e1/aggregated-analysis?include=assessment",
)
_PLAIN: Final = ("/batches/judged/status", "/essays/e1/aggregated-analysis")


@dataclass
class Load:
    """Clients that ask without a pause, each for one address, and what they got."""

    installation: Installation
    api: RoleProcess
    statuses: set[int] = field(default_factory=set)
    plain_bodies: set[bytes] = field(default_factory=set)
    assessments: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Ask for the time of a block."""
        clients = [threading.Thread(target=self._ask, args=(path,)) for path in (*_ENRICHED, *_PLAIN)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._ended.set()
            for client in clients:
                client.join()

    def wait_for(self, available: bool, *, reason: str = "") -> None:
        """Wait until an answer that comes from now on says so."""
        known = len(self.assessments)
        wait_until(
            lambda: any(
                each["available"] is available and each.get("reason", "").endswith(reason)
                for each in self.assessments[known:]
            ),
            what=f"an answer says available: {available} {reason}",
            state=lambda: (self.assessments[-1:], self.faults),
        )

    def _ask(self, path: str) -> None:
        while not self._ended.is_set():
            try:
                response = self.installation.get(self.api, path)
            except Exception as fault:  # noqa: BLE001 - whatever it is, the test must see it
                self.faults.append(fault)
                return
            self.statuses.add(response.status_code)
            if "include" in path:
                self.assessments.append(response.json().get("assessment", {}))
            else:
                self.plain_bodies.add(response.content)


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """A database with a batch that was judged; no role runs yet, and none of them needs Kafka."""
    chain = Chain(database_url)
    batch = chain.batch("judged")
    for number, message in enumerate((registered(*_ESSAYS), *map(spellchecked, _ESSAYS), assessed(*_ESSAYS))):
        message.tell(batch, caused_by(number))
    job = Job("job-1", "judged")
    chain.project([*batch.collect_events(), *round_robin(job, _ESSAYS, ["teacher-0007"]), job.ends(*_ESSAYS)])
    with Installation(database_url, "", tmp_path) as running:
        yield running


def test_answers_come_in_ras_own_time_whatever_happens_to_the_assessment_app(
    installation: Installation,
) -> None:
    port = str(free_port())
    app = installation.start("serve-assessments", assessments_port=port).wait_until_ready()
    api = installation.start(
        "serve", assessments_url=app.url, assessments_deadline_s="1", assessments_pause_s="0.3"
    ).wait_until_ready()
    load = Load(installation, api)

    with load.going_on():
        load.wait_for(True)
        with app.paused():
            load.wait_for(False, reason="The assessment app did not answer within 1 s.")
            api.wait_for_health("degraded", saying="did not answer")
        load.wait_for(True)
        assert api.wait_for_health("ok") == ""

        app.kill()
        load.wait_for(False, reason="The assessment app cannot be reached.")
        api.wait_for_health("degraded", saying="cannot be reached")

        installation.start("serve-assessments", assessments_port=port).wait_until_ready()
        load.wait_for(True)
        assert api.wait_for_health("ok") == ""

    assert load.faults == []
    assert load.statuses == {200}
    assert len(load.plain_bodies) == len(_PLAIN), "answers without include changed"
    batch, essay = (installation.get(api, path).json()["assessment"] for path in _ENRICHED)
    assert [line["item"] for line in batch["jobs"][0]["ranking"]] == _ESSAYS
    assert (essay["jobs"][0]["essay"]["item"], essay["jobs"][0]["misfit"]) == ("e1", False)
    assert essay["jobs"][0]["reliability"] == batch["jobs"][0]["reliability"]
