"""A teacher watches a batch from registration to results while everything between the teacher and RAS fails in turn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, WebSocket, expect

from infrastructure.local.embedded_postgres import EmbeddedPostgres
from tests.support.browsing import listening, signed_in
from tests.support.freezing_proxy import FreezingProxy
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import TEACHER, Live, live_on
from tests.support.postgres_server import GivenPostgres
from tests.support.waiting import wait_until

_DEADLINE_MS = 90_000


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that this test may stop."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("journey") / "postgres") as server:
        yield server


@pytest.fixture(scope="module")
def live(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """An installation on that server, whose dead peers are found soon."""
    server, folder = GivenPostgres(postgres.superuser_url), tmp_path_factory.mktemp("journey")
    with live_on(server, folder, stream_heartbeat_s="2") as running:
        yield running


def test_a_teacher_watches_a_batch_to_its_results_while_process_network_and_database_fail(
    live: Live, postgres: EmbeddedPostgres, browser: Browser
) -> None:
    script = small_batch("watched", essays=4, failed=1)
    messages = messages_of(script)
    registration, rest = messages[:1], messages[1:]
    parts = [rest[start::4] for start in range(4)]
    shown: list[str] = []

    def note(socket: WebSocket) -> None:
        socket.on("framereceived", heard)

    def heard(frame: str | bytes) -> None:
        message = json.loads(frame)
        if "notification_id" in message and message["notification_type"] != "notification_read":
            shown.append(message["notification_id"])

    with (
        FreezingProxy(int(live.api.url.rpartition(":")[2])) as network,
        signed_in(browser, f"http://127.0.0.1:{network.port}", TEACHER) as (_, page),
    ):
        state = page.locator("#live-state")
        page.on("websocket", note)
        page.goto("/batches")
        listening(page)
        page.evaluate("window.stays = true")
        live.tell(registration)
        card = page.locator(".card", has_text=script.batch_id)
        expect(card).to_be_visible(timeout=_DEADLINE_MS)

        def shows(name: str) -> None:
            listening(page)
            done = page.locator(".card", has_text=small_batch(name).batch_id)
            expect(done.locator(".badge")).to_have_text("Done", timeout=_DEADLINE_MS)

        live.api.kill()
        live.api.wait_for_end()
        expect(state).to_have_class("live off")
        live.tell(parts[0])
        live.batch("while-the-process-was-gone")
        live.api = live.serve_again()
        shows("while-the-process-was-gone")

        live.tell(parts[1])
        assert network.cut() > 0
        live.batch("while-the-network-was-cut")
        shows("while-the-network-was-cut")

        assert network.swallow() > 0
        live.tell(parts[2])
        live.batch("while-everything-was-swallowed")
        expect(state).to_have_class("live off", timeout=_DEADLINE_MS)
        shows("while-everything-was-swallowed")

        postgres.stop()
        live.api.wait_for_health("failed")
        postgres.start()
        live.tell(parts[3])
        live.batch("after-the-database")
        shows("after-the-database")
        expect(card.locator(".badge")).to_have_text("Done, with failures", timeout=_DEADLINE_MS)

        inbox = [each["notification_id"] for each in live.inbox()]
        wait_until(
            lambda: page.evaluate("window.stays") and len(shown) >= len(inbox),
            what="the page has heard of everything in the inbox",
            deadline_s=90,
            state=lambda: (len(shown), len(inbox)),
        )
        assert Counter(shown) == Counter(inbox)
        assert len(inbox) == 10
        assert page.evaluate("window.stays")  # it was never loaded again
