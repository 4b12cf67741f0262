"""An operator repairs, on the page of a dead letter, a message that was sent wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from infrastructure.pages.letters import _LARGEST_IN_A_FIELD
from tests.support.browsing import no_serious_violation, signed_in, ticket_link
from tests.support.http import OPERATORS
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import PLAIN_HTTP, Live
from tests.support.postgres_probe import probe
from tests.support.role_process import API_KEY
from tests.support.waiting import wait_until

OPERATOR: Final = "operator-0001"


@dataclass(frozen=True)
class Letter:
    """A dead letter: the address of its page, what was sent, and what was meant."""

    path: str
    sent: bytes
    meant: bytes
    batch_id: str


def letter_of(live: Live, name: str, *, sent: bytes | None = None) -> Letter:
    """Ingest a batch whose registration names no teacher, or has the bytes `sent`."""
    script = small_batch(name)
    [registration, *rest] = messages_of(script)
    assert registration.value is not None
    body = json.loads(registration.value)
    del body["data"]["user_id"]
    wrong = json.dumps(body).encode() if sent is None else sent
    live.tell([replace(registration, value=wrong), *rest])
    with probe(live.ras.database_url) as database:
        end = database.value("SELECT max(notification_id) FROM ras.stored_events")
    address = f"{live.api.url}/internal/v1/ops/dead-letters?limit=1&after={end}"

    def listed() -> httpx.Response:
        headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": OPERATORS}
        return httpx.get(address, headers=headers, timeout=60, verify=PLAIN_HTTP)

    wait_until(lambda: listed().status_code == 200, what="the letter is in the read model", deadline_s=90)
    [newest] = listed().json()["dead_letters"]
    return Letter(f"/operator/letters/{newest['position']}", wrong, registration.value, script.batch_id)


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    """An operator's program, which sends forms as no browser does."""
    with httpx.Client(base_url=live.api.url, timeout=60, verify=PLAIN_HTTP) as sending:
        sending.get(ticket_link(live.api.url, OPERATOR, "operator"))
        yield sending


def shows(page: Page, state: str) -> None:
    """Wait until the page shows a letter's new state, after a refusal that stood there before."""
    expect(page.get_by_role("alert")).to_be_hidden(timeout=60_000)

    def is_shown() -> bool:
        return f"{state} · {OPERATOR}" in (page.locator("dl").text_content() or "") or not page.reload()

    wait_until(is_shown, what=f"the letter is {state}", deadline_s=90)


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_message_is_corrected_in_the_field_and_what_was_typed_outlives_a_refusal(
    live: Live, browser: Browser, *, has_scripts: bool
) -> None:
    letter = letter_of(live, f"corrected {has_scripts}")
    with signed_in(
        browser, live.api.url, OPERATOR, "operator", java_script_enabled=has_scripts, bypass_csp=True
    ) as (_, page):
        page.goto(letter.path)
        field, why = (
            page.get_by_role("textbox", name="Corrected message"),
            page.get_by_label("What was corrected"),
        )
        assert field.input_value().encode() == letter.sent
        field.fill("\n" + '{"event_id": <b>"half"</b>')
        why.fill('the "user" was missing')
        page.get_by_role("button", name="Replace").click()

        expect(page.get_by_role("alert")).to_contain_text("The corrected message is refused. not_json")
        assert field.input_value() == "\n" + '{"event_id": <b>"half"</b>'
        assert why.input_value() == 'the "user" was missing'
        if has_scripts:
            no_serious_violation(page)
        field.fill(letter.meant.decode())
        page.get_by_role("button", name="Replace").click()

        shows(page, "Replaced")
        expect(page.get_by_text('the "user" was missing')).to_be_visible()
        assert page.get_by_role("button", name="Replace").count() == 0
    wait_until(
        lambda: live.ras.get(live.api, f"/batches/{letter.batch_id}/status").status_code == 200,
        what="the batch is there",
        deadline_s=60,
    )


def test_a_message_that_is_no_text_is_downloaded_and_replaced_by_a_file(live: Live, browser: Browser) -> None:
    letter = letter_of(live, "corrected by file", sent=b"\xff\x00 no text")
    with signed_in(browser, live.api.url, OPERATOR, "operator", locale="sv") as (context, page):
        page.goto(letter.path)
        assert page.get_by_role("textbox", name="Rättat meddelande").input_value() == ""
        expect(page.get_by_text("är inte text: ladda ner det")).to_be_visible()
        assert context.request.get(f"{letter.path}/message").body() == letter.sent
        page.get_by_label("Vad som rättades").fill("fel kodning")
        page.get_by_role("button", name="Ersätt").click()
        expect(page.get_by_role("alert")).to_contain_text("eller välj en fil")
        page.get_by_label("Eller en fil").set_input_files(
            {"name": "half.json", "mimeType": "application/json", "buffer": b'{"half": "\xc3\xa5"'}
        )
        page.get_by_role("button", name="Ersätt").click()
        expect(page.get_by_role("alert")).to_contain_text("not_json")
        assert page.get_by_role("textbox", name="Rättat meddelande").input_value() == '{"half": "å"'
        page.get_by_label("Eller en fil").set_input_files(
            {"name": "corrected.json", "mimeType": "application/json", "buffer": letter.meant}
        )
        page.get_by_role("button", name="Ersätt").click()
        shows(page, "Ersatt")


def test_a_letter_is_discarded_for_a_reason_that_a_refusal_keeps(live: Live, browser: Browser) -> None:
    letter = letter_of(live, "discarded")
    with signed_in(browser, live.api.url, OPERATOR, "operator") as (_, page):
        page.goto(letter.path)
        page.get_by_label("Why it is discarded").fill("   ")
        page.get_by_role("button", name="Discard").click()
        expect(page.get_by_role("alert")).to_contain_text("Say why the message is discarded")
        page.get_by_label("Why it is discarded").fill("sent by a test")
        page.get_by_role("button", name="Discard").click()
        shows(page, "Discarded")


def test_forms_that_no_browser_sends_change_nothing(live: Live, client: httpx.Client) -> None:
    letter = letter_of(live, "odd forms")
    why = {"action": "replace", "why_replaced": "odd"}
    meant = {"file": ("corrected.json", letter.meant)}

    from_elsewhere = client.post(
        letter.path, data=why, files=meant, headers={"Origin": "https://elsewhere.example"}
    )
    answers = [
        client.post(letter.path, data={"action": "replace"}, files=meant),
        client.post(letter.path, data={"why_replaced": "odd"}, files=meant),
        client.post(letter.path, data={**why, "why_replaced": "two\nlines"}, files=meant),
        client.post(letter.path, data=why, files={"file": ("empty.json", b"")}),
        client.post(letter.path, data=dict.fromkeys("abcdefghi", "1")),
        client.post(letter.path, content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=y"}),
        client.post(letter.path, content=b"{}", headers={"Content-Type": "application/json"}),
    ]
    too_long = [
        client.post(letter.path, data=why, files={"file": ("large.json", b" " * 21_000_000)}),
        client.post("/notifications/read", data={"notification_id": "1" * 200_000}),
    ]
    refused = client.post(
        letter.path, data=why, files={"file": ("utf-16.json", letter.meant.decode().encode("utf-16"))}
    )
    too_large = client.post(letter.path, data=why, files={"file": ("large.json", b" " * 10_000_001)})

    assert from_elsewhere.status_code == 403
    assert [answer.status_code for answer in answers] == [400] * len(answers)
    assert [answer.status_code for answer in too_long] == [413] * len(too_long)
    assert (refused.status_code, "not_json" in refused.text) == (422, True)
    assert (too_large.status_code, "more than 10,000,000 bytes" in too_large.text) == (422, True)
    assert letter.path not in client.get("/operator/letters?state=replaced").text
    assert client.post(letter.path, data=why, files=meant).status_code == 303
    settled = client.post(letter.path, data=why, files=meant)
    assert (settled.status_code, "ingested in its place" in settled.text) == (409, True)


def test_a_message_that_is_too_large_for_the_field_is_replaced_by_a_file(
    live: Live, client: httpx.Client
) -> None:
    letter = letter_of(live, "large", sent=b" " * (_LARGEST_IN_A_FIELD + 1) + b"{}")

    page = client.get(letter.path)

    assert len(page.content) < 20_000
    assert "too large for this field" in page.text
    assert client.get(f"{letter.path}/message").content == letter.sent
    answer = client.post(
        letter.path,
        data={"action": "replace", "why_replaced": "blanks", "message": ""},
        files={"file": ("corrected.json", letter.meant)},
    )
    assert answer.status_code == 303
