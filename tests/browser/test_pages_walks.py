"""The tasks of a teacher and an operator, once without scripts and once with the keyboard alone."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import parked_stream
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


@pytest.mark.parametrize("has_scripts", [True, False])
def test_an_operator_with_the_keyboard_alone_drains_a_stream(
    live: Live, browser: Browser, *, has_scripts: bool
) -> None:
    stream = parked_stream(live, f"drained by keyboard {has_scripts}")
    with signed_in(browser, live.api.url, OPERATOR, "operator", java_script_enabled=has_scripts) as (_, page):
        page.goto("/operator/parked")
        reached_by_keyboard(page, f'button[value="{stream}"]')
        expect(page.get_by_role("button", name=f"Drain {stream}")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_text(stream)).to_have_count(0)
        expect(page).to_have_url(f"{live.api.url}/operator/parked")
    assert live.ras.get(live.api, f"/batches/{stream.removeprefix('batch-')}/status").status_code == 200


@pytest.mark.parametrize("has_scripts", [True, False])
def test_an_operator_with_the_keyboard_alone_cancels_a_check(
    live: Live, browser: Browser, *, has_scripts: bool
) -> None:
    with (
        psycopg.connect(live.ras.database_url) as holding,
        signed_in(
            browser, live.api.url, OPERATOR, "operator", locale="sv", java_script_enabled=has_scripts
        ) as (_, page),
    ):
        holding.execute("LOCK TABLE ras.stored_events IN ACCESS EXCLUSIVE MODE")  # the check waits for it
        page.goto("/operator/checks")
        reached_by_keyboard(page, 'button[value="begin"]')
        page.keyboard.press("Enter")
        newest = page.locator("#checks li.card").first
        expect(newest.locator(".badge")).to_have_text("Pågår")
        reached_by_keyboard(page, 'button[value="cancel"]')
        page.keyboard.press("Enter")
        expect(newest.locator(".badge")).to_have_text("Avbruten")
        expect(page.get_by_role("status").filter(has_text="Avbruten")).to_have_count(1)


@pytest.mark.parametrize("has_scripts", [True, False])
def test_an_operator_with_the_keyboard_alone_searches_by_any_id_and_filters_dead_letters(
    live: Live, browser: Browser, *, has_scripts: bool
) -> None:
    letter = letter_of(live, f"filtered by keyboard {has_scripts}")
    with signed_in(browser, live.api.url, OPERATOR, "operator", java_script_enabled=has_scripts) as (_, page):
        page.goto("/operator/search")
        reached_by_keyboard(page, 'input[name="q"]')
        page.keyboard.type(letter.path.rpartition("/")[2])
        page.keyboard.press("Enter")
        expect(page.locator(f'a[href="{letter.path}"]')).to_be_visible()
        reached_by_keyboard(page, f'a[href="{letter.path}"]')
        page.keyboard.press("Enter")
        expect(page.locator("dt", has_text="Reason")).to_be_visible()
        reason = page.locator("dd code").first.text_content() or ""

        page.goto("/operator/letters")
        reached_by_keyboard(page, 'input[name="reason"]')
        page.keyboard.type("nothing_like_this")
        page.keyboard.press("Enter")
        expect(page.get_by_text("No dead letter fits.")).to_be_visible()
        reached_by_keyboard(page, 'input[name="reason"]')
        page.keyboard.press("Control+A")
        page.keyboard.type(reason)
        reached_by_keyboard(page, 'select[name="state"]')
        page.keyboard.press("ArrowUp")  # from the open ones to all
        reached_by_keyboard(page, "form.filters button")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**reason={reason}&topic=&state=")
        expect(page.locator(f'a[href="{letter.path}"]')).to_be_visible()


@pytest.mark.parametrize("has_scripts", [True, False])
def test_an_operator_with_the_keyboard_alone_replaces_a_letter(
    live: Live, browser: Browser, *, has_scripts: bool
) -> None:
    letter = letter_of(live, f"replaced by keyboard {has_scripts}")
    with signed_in(browser, live.api.url, OPERATOR, "operator", java_script_enabled=has_scripts) as (_, page):
        page.goto(letter.path)
        reached_by_keyboard(page, 'textarea[name="message"]')
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(letter.meant.decode())
        reached_by_keyboard(page, 'input[name="why_replaced"]')
        page.keyboard.type("a test")
        reached_by_keyboard(page, 'button[value="replace"]')
        page.keyboard.press("Enter")
        shows(page, "Replaced")
