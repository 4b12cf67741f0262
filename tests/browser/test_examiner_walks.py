"""The tasks of an examiner, once with the keyboard alone and once without scripts; and what is not there says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from application import topics
from tests.browser.test_pages_walks import reached_by_keyboard
from tests.support.browsing import no_serious_violation, signed_in
from tests.support.english_text import english_in
from tests.support.live import Live, judging_messages
from tests.support.postgres_probe import probe
from tests.support.upstream import fullest_messages
from tests.support.waiting import wait_until

EXAMINER: Final = "examiner-0001"
_SECTIONS: Final = frozenset(
    (
        "scores",
        "forward-test",
        "growth",
        "item-infit",
        "judges",
        "position",
        "matrix",
        "next-pairs",
        "surprises",
    )
)
_DRAWING_MS: Final = 120_000
"""The first report of a job is made by a process of its own, which imports the statistics and draws."""


def report_taken(page: Page) -> str:
    """Download the report by pressing Enter on its link, which has the focus; return the file's text."""
    with page.expect_download(timeout=_DRAWING_MS) as downloaded:
        page.keyboard.press("Enter")
    return Path(downloaded.value.path()).read_text(encoding="utf-8")


def test_an_examiner_with_the_keyboard_alone_finds_a_job_reads_it_and_takes_the_report_along(
    live: Live, browser: Browser, judged: str
) -> None:
    with signed_in(browser, live.api.url, EXAMINER, "examiner") as (_, page):
        expect(page).to_have_url(f"{live.api.url}/examiner")
        reached_by_keyboard(page, 'input[name="q"]')
        page.keyboard.type(judged)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**q={judged}")
        expect(page.locator("main tbody tr")).to_have_count(1)
        reached_by_keyboard(page, f'a[href="/examiner/jobs/{judged}"]')
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(f"Judging job {judged}")

        decisions = page.locator("main li.card")
        expect(decisions).to_have_count(50)
        reached_by_keyboard(page, 'a[rel="next"]')
        page.keyboard.press("Enter")
        expect(decisions).to_have_count(10)
        reached_by_keyboard(page, 'input[name="q"]')
        page.keyboard.type("text-ö")
        page.keyboard.press("Enter")
        expect(decisions).to_have_count(24)
        expect(decisions.first).to_contain_text("text-ö")

        reached_by_keyboard(page, 'a[href$="/figures"]')
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Figures", timeout=_DRAWING_MS)
        assert {*page.locator("section.card").evaluate_all("all => all.map(one => one.id)")} >= _SECTIONS
        expect(page.get_by_text("Infit tells how far decisions differ")).to_have_count(1)
        expect(page.locator("#next-pairs table")).to_be_visible()
        reached_by_keyboard(page, "#matrix summary")
        page.keyboard.press("Enter")
        expect(page.locator("#matrix table")).to_be_visible()
        reached_by_keyboard(page, 'a[href$="/report.html"]')
        assert '<html lang="en">' in report_taken(page)

        reached_by_keyboard(page, ".me form button")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{live.api.url}/sign-in")


def test_an_examiner_without_scripts_finds_a_job_reads_it_and_takes_the_report_along_in_swedish(
    live: Live, browser: Browser, judged: str
) -> None:
    with signed_in(browser, live.api.url, EXAMINER, "examiner", locale="sv", java_script_enabled=False) as (
        _,
        page,
    ):
        page.get_by_role("searchbox").fill("nothing like this")
        page.get_by_role("button", name="Visa").click()
        expect(page.get_by_text("Inget har detta id.")).to_be_visible()
        page.get_by_role("searchbox").fill(judged)
        page.get_by_role("button", name="Visa").click()
        page.get_by_role("link", name=judged).click()
        page.get_by_role("searchbox", name="Text, bedömare eller motivering").fill("synthetic-model-1")
        page.get_by_role("button", name="Visa").click()
        expect(page.locator("main li.card")).to_have_count(20)
        page.get_by_role("link", name="Figurer").click(timeout=_DRAWING_MS)
        expect(page.locator("#growth svg")).to_be_visible(timeout=_DRAWING_MS)
        expect(page.get_by_text("Infit säger hur mycket besluten avviker")).to_have_count(1)
        page.locator("#judges summary").click()
        expect(page.locator("#judges table")).to_be_visible()
        page.locator('a[href$="/report.html"]').focus()
        assert '<html lang="sv">' in report_taken(page)
        page.get_by_role("button", name="Logga ut").click()
        expect(page).to_have_url(f"{live.api.url}/sign-in")


@pytest.fixture(scope="module")
def undecided(live: Live) -> str:
    """A job whose only decision failed."""
    [message, *_] = judging_messages("4712", note="")
    body = json.loads(message.value)
    failed = fullest_messages()[topics.COMPARISON_RESULT]["data"]
    body["data"] |= {
        name: failed[name] for name in ("winner", "justification", "confidence", "error_detail", "model")
    }
    live.tell([replace(message, value=json.dumps(body).encode())])
    with probe(live.ras.database_url) as database:
        wait_until(
            lambda: database.value("SELECT count(*) FROM ras_assessments.jobs WHERE job_id = '4712'") == 1,
            what="the job is in the read model",
            deadline_s=90,
        )
    return "4712"


@pytest.mark.parametrize(
    ("language", "no_report", "no_job", "no_batch"),
    [
        (
            "en",
            "There is no report of this job yet: no judge has decided anything.",
            "There is no such judging job.",
            "There is no such batch, or it belongs to somebody else.",
        ),
        (
            "sv",
            "Det finns ingen rapport om jobbet än: ingen bedömare har beslutat något.",
            "Bedömningsjobbet finns inte.",
            "Omgången finns inte, eller tillhör någon annan.",
        ),
    ],
)
def test_a_page_of_what_is_not_there_says_why(
    live: Live, browser: Browser, undecided: str, language: str, no_report: str, no_job: str, no_batch: str
) -> None:
    why = {
        f"/examiner/jobs/{undecided}/figures": no_report,
        "/examiner/jobs/nothing-like-this": no_job,
        "/batches/nothing-like-this": no_batch,
    }
    with signed_in(browser, live.api.url, EXAMINER, "examiner", locale=language, bypass_csp=True) as (
        _,
        page,
    ):
        for path, sentence in why.items():
            answer = page.goto(path, timeout=_DRAWING_MS)
            assert answer is not None
            assert answer.status == 404
            assert page.locator("section.card p").all_text_contents()[:-1] == [sentence]
            assert language == "en" or english_in(page.content()) == []
            no_serious_violation(page)
