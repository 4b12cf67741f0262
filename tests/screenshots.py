"""Writes a picture of every page to docs/images/: `make screenshots`. Servers and data are those of the tests."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import expect

from application.topics import ESSAY_NLP_COMPLETED
from infrastructure.kafka.topics import create_missing_topics
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from tests.support.accounts import wait_until_settled
from tests.support.browsing import chromium, signed_in
from tests.support.ingesting import messages_of, small_batch
from tests.support.kafka_choice import real_broker
from tests.support.live import TEACHER, judging_messages, live_on
from tests.support.postgres_probe import probe
from tests.support.postgres_server import GivenPostgres
from tests.support.topics import Topics

_FOLDER: Final = Path(__file__).parent.parent / "docs" / "images"
_PAGES: Final = {
    "batches": "/batches",
    "batch": "/batches/{batch}",
    "essay": "/essays/{essay}",
    "notifications": "/notifications",
    "status": "/operator",
    "dead-letters": "/operator/letters",
    "dead-letter": "/operator/letters/{letter}",
    "parked": "/operator/parked",
    "outbox": "/operator/outbox",
    "checks": "/operator/checks",
    "search": "/operator/search?q={batch}",
    "judging-jobs": "/examiner",
    "judging-job": "/examiner/jobs/{job}",
    "judging-figures": "/examiner/jobs/{judged}/figures",
    "not-found": "/batches/nothing-here",
    "sign-in": "/sign-in",
}
_DESK: Final = {"width": 1100, "height": 760}
_PHONE: Final = {"width": 390, "height": 780}


def main() -> None:
    """Take every picture: on a desk in English, and on a phone, dark and in Swedish."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name, EmbeddedPostgres(Path(name) / "postgres") as server:
        folder = Path(name) / "logs"
        folder.mkdir()
        postgres = GivenPostgres(server.superuser_url)
        with ExitStack() as stack:
            broker = stack.enter_context(real_broker(Path(name) / "kafka"))
            asyncio.run(create_missing_topics(broker.bootstrap_servers))
            live = stack.enter_context(live_on(postgres, folder, bootstrap_servers=broker.bootstrap_servers))
            browser = stack.enter_context(chromium())
            for role in ("ingest", "publish"):
                live.ras.start(role).wait_until_ready()
            done = small_batch("class-9b", essays=24, failed=2)
            whole = small_batch("class-8c", essays=12)
            begun = messages_of(small_batch("class-9a", essays=8))
            analysed = messages_of(replace(small_batch("class-7a", essays=10, failed=1), analysed=True))
            fifth = [n for n, each in enumerate(analysed) if each.topic == ESSAY_NLP_COMPLETED][5]
            topics = Topics(broker.bootstrap_servers)
            topics.send(
                [*messages_of(done), *begun[: len(begun) // 2], *messages_of(whole), *analysed[:fifth]]
            )
            topics.send(
                [replace(begun[0], value=b"{"), *judging_messages("4711", note="Closer to the text.")]
            )
            with probe(live.ras.database_url) as store:
                wait_until_settled(store, topics, live.ras.transactional_id)
                letter = store.value("SELECT max(position) FROM ras_dead_letters.letters")
            live.inbox()
            ids = {
                "judged": "4711",
                "batch": done.batch_id,
                "essay": whole.essay_ids[0],
                "job": done.job_id,
                "letter": letter,
            }
            for suffix, viewport, scheme, locale in (
                ("", _DESK, "light", "en"),
                ("-phone-dark-sv", _PHONE, "dark", "sv"),
            ):
                roles = ("operator", "examiner")
                with signed_in(
                    browser,
                    live.api.url,
                    TEACHER,
                    *roles,
                    viewport=viewport,
                    color_scheme=scheme,
                    locale=locale,
                ) as (_, page):
                    page.goto("/operator/checks")
                    page.locator('button[value="begin"]').click()
                    expect(page.locator("#checks .badge.done, #checks .badge.failed").first).to_be_visible(
                        timeout=120_000
                    )
                    for name, path in _PAGES.items():
                        page.goto(path.format(**ids), timeout=120_000)
                        page.wait_for_load_state("load")
                        page.screenshot(path=_FOLDER / f"{name}{suffix}.png", full_page=False)
                        sys.stdout.write(f"docs/images/{name}{suffix}.png\n")
                    if not suffix:
                        page.goto(_PAGES["batch"].format(**ids))
                        page.emulate_media(media="print")
                        page.screenshot(path=_FOLDER / "batch-print.png", full_page=True)
                        sys.stdout.write("docs/images/batch-print.png\n")


if __name__ == "__main__":
    main()
