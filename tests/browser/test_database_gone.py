"""What people see while RAS cannot reach its database, and afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_letters import OPERATOR, letter_of, shows
from tests.support.browsing import listening, no_serious_violation, signed_in
from tests.support.english_text import english_in
from tests.support.live import Live
from tests.support.waiting import wait_until

_PATHS: Final = (
    "/batches",
    "/batches/nothing-like-this",
    "/essays/nothing-like-this",
    "/notifications",
    "/operator/letters",
    "/operator/parked",
    "/operator/outbox",
    "/operator/checks",
    "/operator/search?q=1&lang=en",
    "/examiner",
)


@contextmanager
def no_database(live: Live) -> Iterator[None]:
    """Let nobody use the database until the block ends."""
    address = urlsplit(live.ras.database_url)
    name = address.path[1:]
    with psycopg.connect(address._replace(path="/postgres").geturl(), autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


@pytest.mark.parametrize(
    ("language", "heading"), [("en", "RAS cannot reach its database"), ("sv", "RAS når inte sin databas")]
)
def test_every_page_says_so_and_is_there_again_by_itself(
    live: Live, browser: Browser, language: str, heading: str
) -> None:
    with signed_in(
        browser, live.api.url, OPERATOR, "operator", "examiner", locale=language, bypass_csp=True
    ) as (_, page):
        with no_database(live):
            for path in _PATHS:
                answer = page.goto(path.replace("lang=en", f"lang={language}"))
                assert answer is not None
                assert answer.status == 503, path
                expect(page.locator("h1")).to_have_text(heading)
                assert language == "en" or english_in(page.content()) == []
                no_serious_violation(page)
                again = page.locator("#fault a.button").get_attribute("href") or ""
                assert again == path.replace("lang=en", f"lang={language}")
        expect(page.locator("h1")).not_to_have_text(heading, timeout=60_000)


def test_a_page_that_is_open_does_not_say_that_it_is_live(live: Live, browser: Browser) -> None:
    with signed_in(browser, live.api.url, OPERATOR) as (_, page):
        listening(page)
        with no_database(live):
            expect(page.locator("#live-state")).to_have_text("RAS cannot reach its database", timeout=60_000)
        expect(page.locator("#live-state")).to_have_text("Live", timeout=60_000)


def test_what_was_sent_meanwhile_is_sent_again_by_loading_the_page_again(
    live: Live, browser: Browser
) -> None:
    letter = letter_of(live, "sent without a database")
    with signed_in(browser, live.api.url, OPERATOR, "operator") as (_, page):
        page.goto(letter.path)
        page.get_by_label("Why it is discarded").fill("a test")
        with no_database(live):
            page.get_by_role("button", name="Discard").click()
            expect(page.get_by_text("What you sent was not done.")).to_be_visible()
        wait_until(
            lambda: page.reload() is not None and page.locator("#fault").count() == 0,
            what="the database answers again",
            deadline_s=90,
        )
        shows(page, "Discarded")
        expect(page.get_by_text("a test")).to_be_visible()
