"""Writes a picture of every page to docs/images/: `make screenshots`. Servers and data are those of the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from infrastructure.local.embedded_postgres import EmbeddedPostgres
from tests.support.browsing import chromium, signed_in
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import TEACHER, judging_messages, live_on
from tests.support.postgres_server import GivenPostgres

_FOLDER: Final = Path(__file__).parent.parent / "docs" / "images"
_PAGES: Final = {
    "batches": "/batches",
    "batch": "/batches/{batch}",
    "essay": "/essays/{essay}",
    "notifications": "/notifications",
    "status": "/operator",
    "dead-letters": "/operator/letters",
    "outbox": "/operator/outbox",
    "checks": "/operator/checks",
    "search": "/operator/search?q={batch}",
    "judging-jobs": "/examiner",
    "judging-job": "/examiner/jobs/{job}",
    "judging-figures": "/examiner/jobs/{judged}/figures",
}
_DESK: Final = {"width": 1100, "height": 760}
_PHONE: Final = {"width": 390, "height": 780}


def main() -> None:
    """Take every picture: on a desk in English, and on a phone, dark and in Swedish."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "postgres") as server:
        logs = Path(folder) / "logs"
        logs.mkdir()
        with live_on(GivenPostgres(server.superuser_url), logs) as live, chromium() as browser:
            done = small_batch("class-9b", essays=24, failed=2)
            live.tell(messages_of(done))
            begun = messages_of(small_batch("class-9a", essays=8))
            live.tell(begun[: len(begun) // 2])
            whole = small_batch("class-8c", essays=12)
            live.tell(messages_of(whole))
            live.tell(judging_messages("4711", note="Clearer, and closer to the text."))
            live.inbox()
            ids = {
                "judged": "4711",
                "batch": done.batch_id,
                "essay": whole.essay_ids[0],
                "job": done.job_id,
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
