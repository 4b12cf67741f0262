"""A teacher watches how far a batch is in each of its phases."""

from __future__ import annotations

import re
from dataclasses import replace

from playwright.sync_api import Browser, Locator, Page, expect

from application import topics
from tests.support.browsing import listening, signed_in
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import TEACHER, Live


def phases(page: Page, batch_id: str) -> Locator:
    """The phases on the card of a batch."""
    return page.locator("li.card", has_text=batch_id).get_by_role("list").get_by_role("listitem")


def test_a_card_counts_the_essays_of_each_phase_and_goes_on_counting(live: Live, browser: Browser) -> None:
    script = replace(small_batch("phases", essays=4, failed=1), analysed=True)
    messages = messages_of(script)
    cuts = {
        topic: [n for n, each in enumerate(messages) if each.topic == topic] for topic in topics.INPUT_TOPICS
    }
    spellchecks, analyses = cuts[topics.SPELLCHECK_RESULTS], cuts[topics.ESSAY_NLP_COMPLETED]
    live.tell(messages[: spellchecks[0]])
    with (
        signed_in(browser, live.api.url, TEACHER) as (_, page),
        signed_in(browser, live.api.url, TEACHER, locale="sv") as (_, swedish),
    ):
        listening(page)
        shown = phases(page, script.batch_id)
        expect(shown).to_have_text(
            ["Registration 4 of 4", "Spellcheck 0 of 4", "Comparative judgement 0 of 4"]
        )
        live.tell(messages[spellchecks[0] : spellchecks[2]])
        expect(shown.nth(1)).to_contain_text("of 4")
        expect(shown.nth(1)).to_have_attribute("aria-current", "step")
        live.tell(messages[spellchecks[2] : analyses[1]])
        expect(shown).to_have_text(
            [
                "Registration 4 of 4",
                "Spellcheck 3 of 4, 1 failed",
                "Language analysis 1 of 3",
                "Comparative judgement 0 of 3",
            ]
        )
        expect(shown.nth(2)).to_have_attribute("aria-current", "step")
        expect(phases(swedish, script.batch_id).nth(2)).to_have_text("Språkanalys 1 av 3")
        page.goto(f"/batches/{script.batch_id}")
        expect(page.locator("#summary li").nth(2)).to_have_text("Language analysis 1 of 3")
        listening(page)
        for each in analyses[1:]:  # they name no batch, and are shown all the same
            live.tell([messages[each]])
        # The newest may not be in its read model yet when the page hears that the batch has moved on.
        expect(page.locator("#summary li").nth(2)).to_have_text(re.compile("Language analysis [23] of 3"))
        live.tell([each for each in messages[analyses[1] :] if each.topic != topics.ESSAY_NLP_COMPLETED])
        expect(page.locator("#summary .badge")).to_have_text("Done, with failures")
