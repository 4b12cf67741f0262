"""The tasks of a teacher and an operator, once without scripts and once with the keyboard alone."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.test_letters import OPERATOR, letter_of, shows
from tests.support.browsing import listening, signed_in
from tests.support.live import TEACHER, Live


def reached_by_keyboard(page: Page, selector: str) -> None:
    """Press Tab until what a selector names has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def test_a_teacher_without_scripts_filters_sorts_downloads_and_marks_as_read(
    live: Live, browser: Browser
) -> None:
    batch_id = live.batch("without scripts")
    live.inbox()
    with signed_in(browser, live.api.url, TEACHER, java_script_enabled=False) as (_, page):
        page.get_by_label("State").select_option("done")
        page.get_by_role("button", name="Show").click()
        page.locator(f'a[href="/batches/{batch_id}"]').click()
        page.get_by_label("Sort by").select_option("file")
        page.get_by_role("button", name="Show").click()
        names = page.locator("#essays tbody th").all_text_contents()
        assert len(names) == 3
        assert names == sorted(names)
        with page.expect_download() as downloaded:
            page.get_by_role("link", name="CSV").click()
        assert names[0] in Path(downloaded.value.path()).read_text(encoding="utf-8-sig")
        page.goto("/notifications")
        mine = page.locator("li.card.unread", has=page.locator(f'a[href="/batches/{batch_id}"]'))
        unread = mine.count()
        assert unread
        mine.first.get_by_role("button", name="Mark as read").click()
        expect(mine).to_have_count(unread - 1)


def test_an_operator_without_scripts_retries_discards_searches_and_checks(
    live: Live, browser: Browser
) -> None:
    letter = letter_of(live, "without scripts")
    with signed_in(browser, live.api.url, OPERATOR, "operator", java_script_enabled=False) as (_, page):
        page.goto("/operator/letters")
        page.locator(f'a[href="{letter.path}"]').click()
        page.get_by_role("button", name="Retry").click()
        shows(page, "Open")  # the message is as wrong as before
        page.get_by_label("Why it is discarded").fill("a test")
        page.get_by_role("button", name="Discard").click()
        shows(page, "Discarded")
        page.goto("/operator/search")
        page.get_by_role("searchbox").fill(letter.batch_id)
        page.get_by_role("button", name="Search").click()
        expect(page.locator("main tbody tr").first).to_be_visible()
        page.goto("/operator/checks")
        page.get_by_role("button", name="Check everything").click()
        expect(page.locator("#checks .badge").first).to_be_visible()


def test_an_operator_with_the_keyboard_alone_opens_a_letter_and_discards_it(
    live: Live, browser: Browser
) -> None:
    letter = letter_of(live, "by keyboard")
    with signed_in(browser, live.api.url, OPERATOR, "operator") as (_, page):
        page.goto("/operator/letters")
        reached_by_keyboard(page, f'a[href="{letter.path}"]')
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{letter.path}")
        reached_by_keyboard(page, 'input[name="why_discarded"]')
        page.keyboard.type("a test")
        page.keyboard.press("Enter")
        shows(page, "Discarded")


def test_a_teacher_with_the_keyboard_alone_searches_and_opens_an_essay(live: Live, browser: Browser) -> None:
    batch_id = live.batch("essay by keyboard")
    live.inbox()
    with signed_in(browser, live.api.url, TEACHER) as (_, page):
        page.goto(f"/batches/{batch_id}")
        reached_by_keyboard(page, 'input[name="q"]')
        page.keyboard.type("essay-02")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=essay-02**")
        expect(page.locator("#essays tbody tr")).to_have_count(1)
        reached_by_keyboard(page, '#essays a[href^="/essays/"]')
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("essay-02.docx")


def test_an_operator_with_the_keyboard_alone_retries_a_letter(live: Live, browser: Browser) -> None:
    letter = letter_of(live, "retried by keyboard")
    with signed_in(browser, live.api.url, OPERATOR, "operator") as (_, page):
        page.goto(letter.path)
        reached_by_keyboard(page, 'button[value="retry"]')
        page.keyboard.press("Enter")
        shows(page, "Open")  # the message is as wrong as before


def test_a_teacher_with_the_keyboard_alone_marks_one_notification_as_read(
    live: Live, browser: Browser
) -> None:
    batch_id = live.batch("read by keyboard")
    live.inbox()
    with signed_in(browser, live.api.url, TEACHER) as (_, page):
        page.goto(f"/batches/{batch_id}")
        title = page.locator("h1").text_content() or ""
        page.goto("/notifications")
        mine = page.locator("li.card.unread", has=page.locator(f'a[href="/batches/{batch_id}"]'))
        unread = mine.count()
        assert unread
        expect(mine.first.get_by_role("link")).to_have_text(title)
        reached_by_keyboard(page, f'li.card.unread:has(a[href="/batches/{batch_id}"]) button')
        page.keyboard.press("Enter")
        expect(mine).to_have_count(unread - 1)


def test_the_focus_stays_on_its_button_when_the_page_changes(live: Live, browser: Browser) -> None:
    batch_id = live.batch("focused")
    live.inbox()
    with signed_in(browser, live.api.url, TEACHER) as (_, page):
        page.goto("/notifications")
        listening(page)
        reached_by_keyboard(page, f'li.card.unread:has(a[href="/batches/{batch_id}"]) button')
        value = page.evaluate("document.activeElement.value")
        newer = live.batch("arrives meanwhile")
        expect(page.locator(f'a[href="/batches/{newer}"]').first).to_be_visible(timeout=60_000)
        assert page.evaluate("document.activeElement.value") == value
