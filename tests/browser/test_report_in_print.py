"""The report of a judging session as a browser prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, PdfMargins

from application.judging_report.contents import contents_of
from application.judging_report.document import report_html
from application.judging_report.figures import figures
from application.judging_report.texts import TEXTS, Language
from infrastructure.cli.drawing import draw, labelled
from tests.support.judging_sessions import Design, simulated

_PAGE_PX = 1009
"""The height of an A4 page with margins of 15 mm, in CSS pixels."""


@pytest.fixture(scope="module")
def printed(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The report of 35 texts in a window as wide as the text of an A4 page, in print."""
    contents = contents_of("session", simulated(Design.RANDOM, items=35, decisions=420, spread=1.5, seed=1))
    shown = figures(contents, TEXTS[Language.ENGLISH], "en")
    drawings = {
        name: labelled(name, name, svg)
        for name, svg in draw({f.name: f.spec for f in shown if f.spec is not None}).items()
    }
    path = tmp_path_factory.mktemp("print") / "report.html"
    path.write_text(report_html(contents, shown, drawings, Language.ENGLISH), encoding="utf-8")
    page = browser.new_page(viewport={"width": 680, "height": _PAGE_PX})
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    yield page
    page.close()


def _style(page: Page, selector: str, name: str) -> Any:
    return page.eval_on_selector(selector, f"element => getComputedStyle(element).{name}")


def test_sections_flow_over_pages_and_a_figure_stays_with_its_sentence(printed: Page) -> None:
    assert _style(printed, "section#scores", "breakInside") == "auto"
    assert _style(printed, "section#scores .drawn", "breakInside") == "avoid"
    tallest = max(
        printed.eval_on_selector_all(".drawn", "all => all.map(each => each.getBoundingClientRect().height)")
    )
    assert tallest < _PAGE_PX


def test_print_shows_short_tables_and_that_of_the_scores_without_their_toggles(printed: Page) -> None:
    assert printed.locator("summary:visible").count() == 0
    assert printed.locator("#judges td:visible").count() > 0
    assert printed.locator("#scores td:visible").count() > 0
    assert printed.locator("#matrix td:visible").count() == 0
    assert printed.locator("#matrix .printed").inner_text().startswith("This table has ")


def test_names_are_not_broken_and_tables_are_not_cut_off_in_print(printed: Page) -> None:
    lines = printed.eval_on_selector_all(
        "#scores td.short", "all => all.map(each => [each.innerText, each.getClientRects()[0].height])"
    )
    tallest = max(height for _, height in lines)
    assert tallest < 30, [text for text, height in lines if height == tallest]
    assert printed.evaluate("document.documentElement.scrollWidth") <= 680


def test_every_column_of_the_matrix_has_its_name_within_the_drawing(printed: Page) -> None:
    inside = printed.eval_on_selector_all(
        "#matrix svg text",
        "all => all.filter(each => each.textContent.startsWith('essay-')).map(each => "
        "each.getBoundingClientRect().bottom <= each.ownerSVGElement.getBoundingClientRect().bottom)",
    )
    assert len(inside) == 2 * 35
    assert all(inside)


def test_the_printed_file_has_few_pages(printed: Page) -> None:
    margins: PdfMargins = {"top": "15mm", "bottom": "15mm", "left": "15mm", "right": "15mm"}
    pages = re.findall(rb"/Type\s*/Page\b", printed.pdf(format="A4", margin=margins))
    assert 4 <= len(pages) <= 9


def test_long_names_break_inside_their_column(browser: Browser, tmp_path: Path) -> None:
    session = simulated(Design.RANDOM, items=6, decisions=60, spread=1, seed=1)
    contents = contents_of("session", session)
    page = browser.new_page(viewport={"width": 680, "height": _PAGE_PX})
    path = tmp_path / "report.html"
    shown = figures(contents, TEXTS[Language.ENGLISH], "en")
    written = report_html(contents, shown, {}, Language.ENGLISH).replace("essay-003", "essay" * 40)
    path.write_text(written.replace("<td class=short>essayessay", "<td>essayessay"), encoding="utf-8")
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    page.close()
