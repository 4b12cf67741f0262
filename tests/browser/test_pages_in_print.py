"""The teacher's pages on paper, printed from a browser that is in its dark mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browsing import signed_in
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import TEACHER, Live

_TEXT_OF_A4_PX: Final = 680
"""The width of an A4 page within margins of 15 mm, in CSS pixels."""
_LONG_NAME: Final = (
    "a-name-without-a-blank-that-no-column-of-a-sheet-of-paper-is-wide-enough-for-final-version-(3).docx"
)


@pytest.fixture(scope="module")
def printed(live: Live, browser: Browser) -> Iterator[tuple[Page, str]]:
    """A window as wide as the text of an A4 page, in print and in dark mode, and a finished batch of 30 essays."""
    script = small_batch("printed", essays=30, failed=2)
    named = _LONG_NAME.encode()
    live.tell(
        [
            replace(each, value=(each.value or b"").replace(b"essay-01.docx", named))
            for each in messages_of(script)
        ]
    )
    live.inbox()
    viewport = {"width": _TEXT_OF_A4_PX, "height": 1009}
    with signed_in(browser, live.api.url, TEACHER, "operator", viewport=viewport, color_scheme="dark") as (
        _,
        page,
    ):
        page.emulate_media(media="print")
        yield page, script.batch_id


@pytest.mark.parametrize(
    "path", ["/batches", "/batches/{}", "/notifications", "/operator", "/operator/outbox"]
)
def test_a_page_is_dark_on_white_and_as_wide_as_the_paper(printed: tuple[Page, str], path: str) -> None:
    page, batch_id = printed
    page.goto(path.format(batch_id))
    style = page.evaluate(
        "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
    )
    assert style == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert page.evaluate("document.documentElement.scrollWidth") <= _TEXT_OF_A4_PX
    assert page.locator("header.top:visible, form:visible, button:visible").count() == 0


def test_all_essays_are_on_paper_with_their_whole_names(printed: tuple[Page, str]) -> None:
    page, batch_id = printed
    page.goto(f"/batches/{batch_id}")
    assert page.locator("#essays tbody tr:visible").count() == 30
    assert page.get_by_text(_LONG_NAME, exact=True).is_visible()
    cut_words = "heads => heads.filter(each => each.clientHeight > 60).map(each => each.textContent)"
    assert page.eval_on_selector_all("#essays thead th", cut_words) == []
    cut = (
        "cells => cells.filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent)"
    )
    assert page.eval_on_selector_all("#essays th, #essays td", cut) == []
