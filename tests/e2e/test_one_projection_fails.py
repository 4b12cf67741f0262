"""One projection's fault is its own: the others go on, and it recovers when the fault is mended."""

from __future__ import annotations

from typing import LiteralString

import pytest

from infrastructure.demo.stream import stream
from tests.support.accounts import check_taken_in_once
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_HEAD: LiteralString = "SELECT max(notification_id) FROM ras.stored_events"


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        (
            "ALTER TABLE ras_batch_results.batches RENAME TO elsewhere",
            "ALTER TABLE ras_batch_results.elsewhere RENAME TO batches",
        ),
        (
            "ALTER TABLE ras_batch_results.essays ADD COLUMN forced text NOT NULL",
            "ALTER TABLE ras_batch_results.essays DROP COLUMN forced",
        ),
    ],
    ids=["a table is gone", "a row is refused"],
)
def test_the_others_go_on_and_it_recovers_alone(
    ras: Installation,
    ras_topics: Topics,
    store: PostgresProbe,
    broken: LiteralString,
    mended: LiteralString,
) -> None:
    ras.start("ingest").wait_until_ready()
    projector = ras.start("project").wait_until_ready()
    store.execute(broken)
    sent = ras_topics.send(list(stream(20_260_403, 3, class_sizes=(1, 8))))

    projector.wait_for_health("degraded", saying="batch_results")
    conditions = {check["name"]: check["status"] for check in projector.readiness()["checks"]}
    assert conditions.pop("batch_results") == "degraded"
    assert set(conditions.values()) == {"ok"}
    check_taken_in_once(store, ras_topics, sent)
    wait_until(
        lambda: all(
            position >= store.value(_HEAD)
            for name, position in store.positions("projection/").items()
            if name != "projection/batch_results"
        ),
        what="the other projections have come to the end",
        state=store.positions,
    )
    assert projector.exit_code is None

    store.execute(mended)
    assert projector.wait_for_health("ok", deadline_s=60) == ""
    wait_until(
        lambda: store.positions()["projection/batch_results"] >= store.value(_HEAD), what="it has caught up"
    )
    assert projector.terminate() == 0
