"""People who press twice, go back, come late, or have names that no page was drawn for."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_letters import OPERATOR, letter_of, shows
from tests.support.browsing import listening, no_serious_violation, signed_in, ticket_link
from tests.support.english_text import english_in
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import TEACHER, Live

_ODD_NAMES: Final = {
    "long": "an-essay-with-a-name-that-nothing-breaks-" * 5 + ".docx",
    "right-to-left": "\u05d7\u05d9\u05d1\u05d5\u05e8 7 \u202eabc.docx",
    "combining": "a" + "\u0301\u0323\u0308" * 30 + "-e\u0301le\u0300ve.docx",
}


@pytest.mark.parametrize("has_scripts", [True, False])
@pytest.mark.parametrize("language", ["en", "sv"])
def test_what_was_typed_outlives_the_session(
    live: Live, browser: Browser, language: str, *, has_scripts: bool
) -> None:
    letter = letter_of(live, f"session over {language} {has_scripts}")
    with signed_in(
        browser,
        live.api.url,
        OPERATOR,
        "operator",
        locale=language,
        java_script_enabled=has_scripts,
        bypass_csp=True,
    ) as (context, page):
        page.goto(letter.path)
        page.locator("textarea").fill(letter.meant.decode())
        page.locator('[name="why_replaced"]').fill('the "user" & <b>more</b>')
        context.clear_cookies(name="ras_session")
        page.locator('[value="replace"]').click()

        expect(page.locator("h1")).to_have_text(
            {"en": "You were signed out", "sv": "Du har loggats ut"}[language]
        )
        assert language == "en" or english_in(page.content()) == []
        if has_scripts:
            no_serious_violation(page)
        other = context.new_page()
        other.goto(ticket_link(live.api.url, OPERATOR, "operator"))
        other.close()
        page.locator("form button").click()
        shows(page, {"en": "Replaced", "sv": "Ersatt"}[language])
        expect(page.get_by_text('the "user" & <b>more</b>')).to_be_visible()


def test_a_form_with_a_file_is_not_sent_again_without_it(live: Live, browser: Browser) -> None:
    letter = letter_of(live, "session over with a file")
    with signed_in(browser, live.api.url, OPERATOR, "operator") as (context, page):
        page.goto(letter.path)
        page.locator('[name="why_replaced"]').fill("from a file")
        page.locator('[name="file"]').set_input_files(
            {"name": "corrected.json", "mimeType": "application/json", "buffer": letter.meant}
        )
        context.clear_cookies(name="ras_session")
        page.locator('[value="replace"]').click()
        expect(page.get_by_text("Nothing was changed. Sign in again and repeat it.")).to_be_visible()
        assert page.locator("main form").count() == 0


def test_a_form_from_elsewhere_is_not_kept(live: Live, browser: Browser) -> None:
    context = browser.new_context(base_url=live.api.url)
    answer = context.request.post(
        "/operator/letters/1",
        form={"why_discarded": "planted"},
        headers={"Origin": "https://elsewhere.example"},
    )
    assert "planted" not in answer.text()
    context.close()


def pressed_twice(page: Page, name: str) -> None:
    """Press a button twice before the first press is answered."""
    page.get_by_role("button", name=name).evaluate("button => { button.click(); button.click(); }")


def test_two_presses_do_what_one_does(live: Live, browser: Browser) -> None:
    letter = letter_of(live, "pressed twice")
    with signed_in(browser, live.api.url, OPERATOR, "operator") as (context, page):
        page.goto(letter.path)
        page.get_by_label("Why it is discarded").fill("a test")
        pressed_twice(page, "Discard")
        shows(page, "Discarded")
        again = context.request.post(letter.path, form={"action": "discard", "why_discarded": "a test"})
        assert again.status == 200
        page.goto("/operator/checks")
        pressed_twice(page, "Check everything")
        expect(page.locator("#checks .badge").first).to_be_visible()
        assert page.locator("h1").text_content() == "Checks and rebuilds"
        second = context.request.post("/operator/checks", form={"action": "begin"})
        assert second.ok
        assert second.url.endswith("/operator/checks")


def test_what_is_being_typed_stays_when_the_session_ends(live: Live, browser: Browser) -> None:
    with signed_in(browser, live.api.url, TEACHER) as (context, page):
        listening(page)
        page.get_by_label("Search").fill("half a wor")
        context.clear_cookies(name="ras_session")
        with page.expect_response("**/sign-in"):  # the page asks for what is new, and is sent there
            live.batch("arrives without a session")
        page.evaluate("new Promise(done => setTimeout(done))")
        expect(page.get_by_label("Search")).to_have_value("half a wor")
        page.get_by_label("Search").blur()
        live.batch("arrives without a session, later")
        expect(page).to_have_url(f"{live.api.url}/sign-in")


def test_what_takes_a_moment_says_so(live: Live, browser: Browser, judged: str) -> None:
    with signed_in(browser, live.api.url, "examiner-0001", "examiner", locale="sv") as (_, page):
        page.goto(f"/examiner/jobs/{judged}")
        page.evaluate("document.addEventListener('click', click => click.preventDefault())")
        page.get_by_role("link", name="Figurer").click()
        expect(page.get_by_role("status")).to_have_text("Figurerna ritas. Första gången tar det en stund.")


def test_a_page_behind_the_last_one_is_not_said_to_be_empty(live: Live, browser: Browser) -> None:
    batch_id = live.batch("behind the last page")
    live.inbox()
    with signed_in(browser, live.api.url, TEACHER) as (_, page):
        page.goto("/batches?page=999")
        expect(page.locator("li.card").first).to_be_visible()
        page.goto(f"/batches/{batch_id}?page=999")
        expect(page.locator("#essays tbody tr")).to_have_count(3)


@pytest.mark.parametrize(
    ("language", "order"), [("en", ["Ärlan", "Åsnan", "Zebran"]), ("sv", ["Zebran", "Åsnan", "Ärlan"])]
)
def test_classes_are_in_the_order_of_the_readers_language(
    live: Live, browser: Browser, language: str, order: list[str]
) -> None:
    teacher = f"teacher-of-{language}"
    scripts = [
        replace(small_batch(f"{name} {language}"), class_id=name, user_id=teacher)
        for name in ("Åsnan", "Ärlan", "Zebran")
    ]
    live.tell(messages_of(*scripts))
    live.inbox()
    with signed_in(browser, live.api.url, teacher, locale=language) as (_, page):
        expect(page.locator("li.card")).to_have_count(3)
        assert page.locator('[name="class"] option').all_text_contents()[1:] == order


def test_after_signing_out_the_back_button_shows_nothing(live: Live, browser: Browser) -> None:
    with signed_in(browser, live.api.url, TEACHER) as (_, page):
        page.goto("/notifications")
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{live.api.url}/sign-in")
        page.go_back()
        expect(page).to_have_url(f"{live.api.url}/sign-in")
        expect(page.locator("h1")).to_have_text("Sign in")


def test_a_class_with_a_long_name_fits_wherever_it_is_shown(live: Live, browser: Browser) -> None:
    script = replace(small_batch("long class"), class_id="a-class-with-a-name-that-nothing-breaks" * 6)
    live.tell(messages_of(replace(script, user_id="teacher-0042")))
    live.inbox()
    for width in (320, 1100):
        viewport = {"width": width, "height": 700}
        with signed_in(browser, live.api.url, "teacher-0042", viewport=viewport) as (_, page):
            for path in (
                "/batches",
                f"/batches/{script.batch_id}",
                f"/essays/{script.essay_ids[0]}",
                "/notifications",
            ):
                page.goto(path)
                expect(page.get_by_text(script.class_id or "").last).to_be_attached()
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, path)
                beside = page.locator("main *").evaluate_all(
                    "(all, width) => all.filter(each => each.getBoundingClientRect().right > width).length",
                    width,
                )
                assert beside == 0, (width, path)


@pytest.mark.parametrize("name", _ODD_NAMES.values(), ids=_ODD_NAMES.keys())
def test_odd_names_stay_in_their_place(live: Live, browser: Browser, name: str) -> None:
    script = small_batch(f"odd {name[:40]}")
    named = name.encode()
    live.tell(
        [
            replace(each, value=(each.value or b"").replace(b"essay-01.docx", named))
            for each in messages_of(script)
        ]
    )
    live.inbox()
    for width in (320, 1100):
        with signed_in(browser, live.api.url, TEACHER, viewport={"width": width, "height": 700}) as (_, page):
            page.goto(f"/batches/{script.batch_id}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            row = page.locator("#essays tbody tr", has=page.get_by_text(name, exact=True))
            expect(row).to_have_count(1)
            # A name in another direction does not turn what is around it.
            assert row.locator("bdi").evaluate("each => getComputedStyle(each).unicodeBidi") == "isolate"
            row.get_by_role("link").click()
            expect(page.locator("h1")).to_have_text(name)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_that_fails_asks_again_at_an_even_pace(live: Live, browser: Browser) -> None:
    with signed_in(browser, live.api.url, OPERATOR, "operator") as (context, page):
        page.clock.install(time=0)
        page.goto("/operator")
        page.clock.pause_at(1_000_000)
        asked: list[str] = []
        page.on(
            "request",
            lambda request: asked.append(request.url) if request.url.endswith("/operator") else None,
        )
        context.set_offline(True)
        for _ in range(160):  # 40 s of the page's clock
            page.clock.run_for(250)
            page.evaluate("fetch('/healthz').catch(() => null)")  # by then what was asked for has failed too
        context.set_offline(False)
    assert 10 < len(asked) <= 21  # each 2 s
