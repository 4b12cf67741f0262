"""The pages as people use them: watching a batch, reading results, marking notifications, operating."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from dataclasses import replace
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import MARKUP
from tests.support.browsing import listening, signed_in, ticket_link
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import TEACHER, Live
from tests.support.page_headers import check_headers


@pytest.fixture(scope="module")
def batch_id(live: Live) -> str:
    """A finished batch of the teacher, with results that the pages can show."""
    done = live.batch("shown")
    live.inbox()
    return done


def test_seven_windows_of_one_teacher_are_live_and_another_teacher_sees_nothing(
    live: Live, browser: Browser
) -> None:
    with (
        signed_in(browser, live.api.url, TEACHER) as (context, page),
        signed_in(browser, live.api.url, "teacher-0099") as (_, other),
    ):
        pages = [page, *(context.new_page() for _ in range(6))]
        for each in pages[1:]:
            each.goto("/batches")
        for each in (*pages, other):
            listening(each)
        batch_id = live.batch("seven")
        for each in pages:
            expect(each.locator(".card", has_text=batch_id).locator(".badge")).to_have_text("Done")
        assert other.get_by_text("You have no batches yet").is_visible()
        assert other.evaluate("document.body.dataset.heard") is None


@pytest.mark.parametrize("path", ["/batches/{}", "/batches/{}/essays.csv", "/operator", "/examiner"])
def test_what_belongs_to_somebody_else_is_not_there(
    live: Live, browser: Browser, batch_id: str, path: str
) -> None:
    with signed_in(browser, live.api.url, "teacher-0099") as (context, _):
        assert context.request.get(path.format(batch_id)).status == 404


def test_results_are_shown_sorted_and_downloaded(live: Live, browser: Browser, batch_id: str) -> None:
    with signed_in(browser, live.api.url, TEACHER) as (context, page):
        page.goto(f"/batches/{batch_id}")
        expect(page.locator(".lead")).to_have_text("All 3 essays are done.")
        assert page.locator("#essays tbody tr").count() == 3
        ranks = page.locator("#essays tbody td.rank").all_text_contents()
        assert ranks == sorted(ranks)
        page.get_by_label("Sort by").select_option("file")
        page.get_by_role("button", name="Show").click()
        names = page.locator("#essays tbody th").all_text_contents()
        assert names == sorted(names)
        csv = context.request.get(f"/batches/{batch_id}/essays.csv")
        assert csv.text().count("\n") == 4
        assert "attachment" in csv.headers["content-disposition"]
        check_headers(csv.headers)
        sheet = context.request.get(f"/batches/{batch_id}/essays.xlsx")
        check_headers(sheet.headers)
        assert "xl/workbook.xml" in ZipFile(io.BytesIO(sheet.body())).namelist()
        page.locator("#essays tbody a").first.click()
        expect(page.locator("h2", has_text="Result")).to_be_visible()


def test_reading_in_one_window_shows_in_the_other(live: Live, browser: Browser, batch_id: str) -> None:
    assert batch_id
    with signed_in(browser, live.api.url, TEACHER) as (context, page):
        listening(page)
        expect(page.locator(".count")).to_be_visible()
        second = context.new_page()
        second.goto("/notifications")
        second.get_by_role("button", name="Mark all as read").click()
        expect(page.locator(".count")).to_be_hidden()


def test_what_is_being_typed_stays_when_the_page_changes(live: Live, browser: Browser) -> None:
    with signed_in(browser, live.api.url, TEACHER) as (_, page):
        listening(page)
        page.get_by_label("Search").fill("half a wor")
        batch_id = live.batch("typed")
        expect(page.locator(".card", has_text=batch_id)).to_be_visible()
        expect(page.get_by_label("Search")).to_have_value("half a wor")


def test_names_full_of_markup_stay_text(live: Live, browser: Browser) -> None:
    script = small_batch("file names of markup")
    plain, marked = b"essay-01.docx", json.dumps(MARKUP)[1:-1].encode()
    messages = messages_of(script)
    assert any(plain in each.value for each in messages)
    live.tell([replace(each, value=each.value.replace(plain, marked)) for each in messages])
    live.inbox()
    with signed_in(browser, live.api.url, TEACHER, "operator") as (_, page):
        page.goto(f"/batches/{script.batch_id}")
        expect(page.locator("#essays")).to_contain_text(MARKUP)
        assert page.locator("main img").count() == 0
        page.get_by_role("link", name=MARKUP).click()
        expect(page.locator("h1")).to_contain_text(MARKUP)
        assert page.locator("main img").count() == 0
        assert page.title() != "1"
        page.goto("/operator/search?q=" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
        assert page.locator("main img").count() == 0
        assert "alert(1)" in page.get_by_role("searchbox").input_value()


def test_a_batch_that_is_not_ready_says_why_and_what_happened_in_swedish(
    live: Live, browser: Browser
) -> None:
    script = small_batch("half", essays=3)
    messages = messages_of(script)
    live.tell(messages[: len(messages) // 2])
    with signed_in(browser, live.api.url, TEACHER, locale="sv") as (_, page):
        page.goto(f"/batches/{script.batch_id}")
        expect(page.locator("#why h2")).to_have_text("Varför är den inte klar?")
        assert page.locator("#why li").count() >= 1
        page.get_by_text("Vad som hänt").click()
        expect(page.locator(".history li").first).to_contain_text("Omgången registrerades för teacher-0007")


def test_an_operator_searches_by_the_id_of_a_message_and_begins_a_check(
    live: Live, browser: Browser, batch_id: str
) -> None:
    caused = small_batch("shown")
    event_id = json.loads(messages_of(caused)[0].value)["event_id"]
    with signed_in(browser, live.api.url, "operator-0001", "operator") as (_, page):
        page.goto(f"/operator/search?q={event_id}")
        expect(page.locator("main tbody tr", has_text=f"batch-{batch_id}")).to_have_count(1)
        page.goto("/operator/checks")
        page.get_by_role("button", name="Check everything").click()
        expect(page.locator("#checks .badge")).to_have_count(1)


def test_an_examiner_sees_the_figures_of_a_job_and_takes_the_report_along(
    live: Live, browser: Browser, judged: str
) -> None:
    with signed_in(browser, live.api.url, "examiner-0001", "examiner", locale="sv") as (context, page):
        page.goto(f"/examiner/jobs/{judged}")
        expect(page.locator("blockquote").first).to_contain_text("<img src=x")
        page.get_by_role("link", name="Figurer").click(timeout=90_000)
        expect(page.locator("section.card svg").first).to_be_visible(timeout=90_000)
        assert {"scores", "growth", "forward-test", "position", "matrix"} <= set(
            page.locator("section.card").evaluate_all("each => each.map(one => one.id)")
        )
        assert page.locator("main img").count() == 0
        assert page.title() != "1"
        report = context.request.get(f"/examiner/jobs/{judged}/report.html", timeout=90_000)
        assert "attachment" in report.headers["content-disposition"]
        check_headers(report.headers)
        assert "<svg" in report.text()


def test_a_sign_in_link_works_once(live: Live, browser: Browser) -> None:
    link = ticket_link(live.api.url, TEACHER)
    with ExitStack() as stack:
        first, second = (stack.enter_context(browser.new_context()) for _ in range(2))
        assert first.request.head(link).status == 200
        page = first.new_page()
        page.goto(link)
        assert page.url.endswith("/batches")
        [cookie] = [each for each in first.cookies() if each["name"] == "ras_session"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        page = second.new_page()
        answer = page.goto(link)
        assert answer is not None
        assert answer.status == 401
        expect(page.get_by_role("alert")).to_contain_text("used before")


def test_forms_from_elsewhere_are_refused(live: Live, browser: Browser) -> None:
    with signed_in(browser, live.api.url, TEACHER) as (context, _):
        for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = context.request.post(
                "/notifications/read", form={"notification_id": "all"}, headers=headers
            )
            assert answer.status == 403


def test_everything_but_live_updates_works_without_scripts(
    live: Live, browser: Browser, batch_id: str
) -> None:
    with signed_in(browser, live.api.url, TEACHER, java_script_enabled=False) as (_, page):
        page.locator(f'a[href="/batches/{batch_id}"]').click()
        page.get_by_role("searchbox", name="File name").fill("nothing like this")
        page.get_by_role("button", name="Show").click()
        assert page.get_by_text("No essay fits.").is_visible()


def test_the_keyboard_alone_opens_a_batch(live: Live, browser: Browser, batch_id: str) -> None:
    with signed_in(browser, live.api.url, TEACHER) as (_, page):
        page.keyboard.press("Tab")
        assert page.locator(":focus").text_content() == "Skip to content"
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.locator(":focus").get_attribute("href") == f"/batches/{batch_id}":
                break
        page.keyboard.press("Enter")
        expect(page.locator(".lead")).to_be_visible()


def focused_by_keyboard(page: Page, text: str) -> None:
    """Press Tab until what has a text has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if (
            page.evaluate("document.activeElement.textContent.trim()") == text
        ):  # waits for no focus, as `:focus` does
            return
    raise AssertionError(f"the keyboard does not reach {text!r}")


def test_the_keyboard_alone_marks_notifications_signs_out_and_begins_a_check(
    live: Live, browser: Browser, batch_id: str
) -> None:
    live.batch("by-keyboard")
    live.inbox()
    with signed_in(browser, live.api.url, TEACHER, "operator") as (_, page):
        page.goto("/notifications")
        focused_by_keyboard(page, "Mark all as read")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Mark all as read")).to_be_hidden()
        page.goto("/operator/checks")
        focused_by_keyboard(page, "Check everything")
        page.keyboard.press("Enter")
        expect(page.locator("#checks .badge").first).to_be_visible()
        page.goto("/batches")
        focused_by_keyboard(page, "Sign out")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{live.api.url}/sign-in")
