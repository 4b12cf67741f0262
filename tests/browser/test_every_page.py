"""What holds of every page: nobody can add one that these tests do not look at."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import Final

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import parked_stream
from tests.browser.test_letters import letter_of
from tests.support.browsing import no_serious_violation, signed_in
from tests.support.english_text import english_in
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import TEACHER, Live
from tests.support.page_routes import PAGES

_PAGES: Final = {
    "/batches": ("/batches", "/batches?q=nothing"),
    "/batches/1": ("/batches/{done}", "/batches/{begun}"),
    "/essays/1": ("/essays/{essay}",),
    "/notifications": ("/notifications",),
    "/operator": ("/operator",),
    "/operator/letters": ("/operator/letters", "/operator/letters?reason=parked&state="),
    "/operator/letters/1": ("{letter}",),
    "/operator/parked": ("/operator/parked",),
    "/operator/outbox": ("/operator/outbox",),
    "/operator/checks": ("/operator/checks",),
    "/operator/search": ("/operator/search", "/operator/search?q={done}", "/operator/search?q=nothing"),
    "/examiner": ("/examiner", "/examiner?q=nothing"),
    "/examiner/jobs/1": ("/examiner/jobs/{job}", "/examiner/jobs/{judged}"),
    "/examiner/jobs/1/figures": ("/examiner/jobs/{judged}/figures",),
    "/sign-in": ("/sign-in",),
}
"""The addresses by which each page is looked at, with and without something to show."""
_NO_PAGES: Final = {
    "/",
    "/batches/1/essays.csv",
    "/batches/1/essays.xlsx",
    "/examiner/jobs/1/report.html",
    "/operator/letters/1/message",
    "/sign-in/openid",
    "/sign-in/openid/callback",
    "/notifications/read",
    "/sign-out",
}
"""What answers with a file or another address."""
_ROLES: Final = ("operator", "examiner")
_DRAWING_MS: Final = 120_000
_SPACED: Final = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important; }
    p { margin-bottom: 2em !important; }"""
"""Text spacing that a page must bear: WCAG 1.4.12."""


_COUNTING: Final = """() => {
    const live = "[role=status], [role=alert], [aria-live]";
    const isLive = node => node.matches?.(live) || node.querySelector?.(live);
    window.announced = 0;
    new MutationObserver(changes => {
        window.announced += changes.filter(
            ({ target, addedNodes }) => target.closest?.(live) || [...addedNodes].some(isLive)
        ).length;
    }).observe(document.body, { childList: true, characterData: true, subtree: true });
}"""
"""Counts what a screen reader would read out by itself."""


@pytest.fixture(scope="module")
def addresses(live: Live, judged: str) -> list[str]:
    """The addresses of all pages, on data that fills them."""
    done, begun = small_batch("looked at", failed=1), small_batch("looked at half-way")
    live.tell(messages_of(done))
    live.tell(messages_of(begun)[:7])
    parked_stream(live, "looked at while parked")
    letter = letter_of(live, "looked at")
    live.inbox()
    ids = {
        "done": done.batch_id,
        "begun": begun.batch_id,
        "essay": done.essay_ids[0],
        "job": done.job_id,
        "judged": judged,
        "letter": letter.path,
    }
    return [each.format(**ids) for several in _PAGES.values() for each in several]


def opened(page: Page, address: str) -> None:
    """Open a page."""
    answer = page.goto(address, timeout=_DRAWING_MS)
    assert answer is not None
    assert answer.status == 200, address


def test_every_route_is_a_page_that_is_looked_at_or_is_none() -> None:
    assert {*PAGES} == _PAGES.keys() | _NO_PAGES


@pytest.mark.parametrize("language", ["en", "sv"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    live: Live, browser: Browser, addresses: list[str], language: str, scheme: str
) -> None:
    with signed_in(
        browser, live.api.url, TEACHER, *_ROLES, color_scheme=scheme, locale=language, bypass_csp=True
    ) as (_, page):
        for address in addresses:
            opened(page, address)
            assert page.locator("html").get_attribute("lang") == language
            assert language == "en" or english_in(page.content()) == []
            no_serious_violation(page)


def test_a_screen_reader_hears_pages_in_order_and_names_that_differ(
    live: Live, browser: Browser, addresses: list[str]
) -> None:
    titles = Counter[str]()
    with signed_in(browser, live.api.url, TEACHER, *_ROLES) as (_, page):
        for address in addresses:
            opened(page, address)
            titles[page.title()] += "?" not in address
            levels = [
                int(each[-1])
                for each in page.locator("h1, h2, h3, h4").evaluate_all(
                    "all => all.map(each => each.tagName)"
                )
            ]
            assert levels[0] == 1, address
            assert levels.count(1) == 1, address
            assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), address
            heard = page.locator("main").aria_snapshot()
            for role in ("button", "region", "table", "search", "navigation"):
                names = re.findall(rf'^ *- {role} "([^"]*)"', heard, re.MULTILINE)
                assert max(Counter(names).values(), default=1) == 1, (address, role, names)
            assert page.locator('[role="alert"]').count() == 0, address
            assert page.get_by_role("table").filter(has_not=page.locator("th[scope=col]")).count() == 0, (
                address
            )
    assert max(titles.values()) == 1, titles


def test_a_page_that_refreshes_itself_announces_only_what_has_changed(live: Live, browser: Browser) -> None:
    with signed_in(browser, live.api.url, TEACHER, *_ROLES) as (_, page):
        for address in ("/operator", "/operator/checks"):
            opened(page, address)
            page.evaluate(_COUNTING)
            for _ in range(3):
                with page.expect_response(f"**{address}"):
                    pass
            assert page.evaluate("window.announced") == 0, address


@pytest.mark.parametrize("spaced", [False, True])
def test_at_400_percent_nothing_is_beside_the_window(
    live: Live, browser: Browser, addresses: list[str], *, spaced: bool
) -> None:
    viewport = {"width": 320, "height": 256}
    with signed_in(
        browser, live.api.url, TEACHER, *_ROLES, viewport=viewport, locale="sv", bypass_csp=True
    ) as (_, page):
        for address in addresses:
            opened(page, address)
            if spaced:
                page.add_style_tag(content=_SPACED)
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, address
