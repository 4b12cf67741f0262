"""A real Chromium for tests, and people who are signed in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from infrastructure.http.identity import Identity, roles_in
from infrastructure.http.sessions import SIGN_IN, issue_ticket
from tests.support import requirements
from tests.support.people import SESSION_KEY

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser until the block ends. Skips or fails the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        requirements.missing("browser", install="install Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def ticket_link(url: str, subject: str, *roles: str) -> str:
    """Return a link by which somebody signs in once."""
    identity = Identity(subject, roles_in(list(roles)), time.time() + 3600)
    return f"{url}/sign-in?ticket={issue_ticket([SESSION_KEY], SIGN_IN, identity)}"


@contextmanager
def signed_in(
    browser: Browser, url: str, subject: str, *roles: str, **options: Any
) -> Iterator[tuple[BrowserContext, Page]]:
    """A window of somebody's own, after following a sign-in link; what its scripts complain of fails the test."""
    context = browser.new_context(base_url=url, **options)
    complaints: list[str] = []
    context.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error"
            and "Failed to load resource" not in message.text
            and "WebSocket connection" not in message.text
            else None
        ),
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    try:
        page = context.new_page()
        page.goto(ticket_link(url, subject, *roles))
        yield context, page
        assert not complaints, complaints
    finally:
        context.close()


def listening(page: Page) -> None:
    """Return when the page hears the live stream."""
    expect(page.locator("#live-state")).to_have_class("live on", timeout=90_000)


def no_serious_violation(page: Page) -> None:
    """Fail where axe finds a serious fault in what a page shows."""
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    serious = [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found.response["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
    assert not serious, (page.url, serious)
