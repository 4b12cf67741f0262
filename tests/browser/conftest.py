"""One installation and one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, expect

from domain.batch import BatchAggregate, batch_stream_id
from tests.support.browsing import chromium
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import Live, judging_messages, live_on
from tests.support.postgres_probe import probe
from tests.support.postgres_server import PostgresServerUnderTest
from tests.support.waiting import wait_until

MARKUP: Final = '<img src=x onerror="document.title=1"><b>&amp;.docx'

expect.set_options(timeout=30_000)  # a machine that is busy with other tests is slow, not wrong


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. Not for the session: Playwright keeps an event loop running, which async tests need free."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def live(
    postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """The projections and the API at work."""
    with live_on(postgres_server, tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(scope="session")
def judged(live: Live) -> str:
    """A judging job of 60 decisions, whose justifications are full of markup; its report is drawn once for all tests."""
    pytest.importorskip("vl_convert")
    messages = judging_messages("4711", note=MARKUP, rounds=6)
    live.tell(messages)
    with probe(live.ras.database_url) as database:
        wait_until(
            lambda: (
                database.value("SELECT count(*) FROM ras_assessments.judge_decisions WHERE job_id = '4711'")
                == len(messages)
            ),
            what="all decisions are in the read model",
            deadline_s=90,
        )
    return "4711"


def parked_stream(live: Live, name: str) -> str:
    """Take in a batch on whose spellchecks our own code fails; return the stream in which they wait."""

    def fail(_batch: BatchAggregate, **_facts: Any) -> None:
        raise KeyError("bug")

    script = small_batch(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchAggregate, "record_spellcheck", fail)
        live.tell(messages_of(script))
    stream = batch_stream_id(script.batch_id)
    with probe(live.ras.database_url) as database:
        wait_until(
            lambda: database.value(
                f"SELECT count(*) FROM ras_dead_letters.letters WHERE stream_id = '{stream}' AND reason = 'parked'"
            ),
            what="the parked messages are in the read model",
            deadline_s=90,
        )
    return stream
