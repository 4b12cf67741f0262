"""`ras judging-report`: one file to hand on, in two languages, that loads nothing and says what to make of it."""

from __future__ import annotations

import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from application.judging_report.account import account_of
from application.judging_report.contents import contents_of
from application.judging_report.data import report_json
from application.judging_report.document import report_html
from application.judging_report.figures import figures
from application.judging_report.specs import for_print
from application.judging_report.terms import TERMS
from application.judging_report.texts import NOTICES, TEXTS, Language
from domain.bradley_terry import estimate_scores, scores_of
from domain.comparison_graph import Comparisons, PairCounts
from domain.notices import ENGLISH, Kind
from domain.wording import Names
from infrastructure.cli.commands.explaining import judging_report
from infrastructure.cli.failures import exit_code_of
from tests.support.assessing import assessors_on
from tests.support.judging import Job, round_robin
from tests.support.judging_sessions import CASES, Design, field_case, simulated
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

app = typer.Typer()
app.command("judging-report")(judging_report)


@app.callback()
def _group() -> None:
    """One command among others, as in `ras`."""


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["judging-report", *map(str, arguments)])


def _refusal(result: Result) -> str:
    assert result.exception is not None
    _, sentence = exit_code_of(result.exception)
    assert sentence is not None
    return sentence


class _Document(HTMLParser):
    """What a test asks of a page: its elements, and the addresses in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a small session with a contrary judge."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    result = _run(CASES / "contrary.csv", "-o", path, "--title", "Class <9B> & co")
    assert result.exit_code == 0, result.exception
    assert "Wrote" in result.stdout
    return path.read_text(encoding="utf-8")


def test_the_file_loads_nothing_and_runs_nothing(page: str) -> None:
    document = _Document(page)
    for tag in ("script", "link", "img", "iframe", "object"):
        assert document.all(tag) == []
    for _, attributes in document.elements:
        assert not {"src", "href", "xlink:href", "style", "onclick"} & attributes.keys()
    assert "url(http" not in page
    assert "@import" not in page


def test_every_figure_has_a_sentence_a_label_and_its_table(page: str) -> None:
    drawings = _Document(page).all("svg")
    assert len(drawings) == 6
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    for name in ("scores", "forward-test", "growth", "item-infit", "judges", "matrix"):
        section = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
        assert section is not None
        assert re.match(r"<div class=drawn><h2>[^<]+</h2><p>[^<]{20,}</p><figure><svg ", section[1])
        assert "<details" in section[1]
        assert "<table>" in section[1]


def test_ids_are_those_of_one_element_each(page: str) -> None:
    ids = [attributes["id"] for _, attributes in _Document(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_it_names_the_contrary_judge_and_has_light_dark_and_print(page: str) -> None:
    assert "Judge E decides contrary to the others" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "var(--accent)" in page
    assert "Class &lt;9B&gt; &amp; co" in page
    assert "Class <9B>" not in page


def test_it_can_be_had_in_swedish(tmp_path: Path) -> None:
    path = tmp_path / "rapport.html"
    assert _run(CASES / "contrary.csv", "-o", path, "--language", "sv", "--no-figures").exit_code == 0
    written = path.read_text(encoding="utf-8")
    assert '<html lang="sv">' in written
    assert "Bedömaren E beslutar tvärtemot de andra: enig i 3 av 40 beslut (7,5\u00a0%" in written
    assert "Framåttest: bättre än slumpen" in written
    assert "<svg" not in written


@pytest.mark.parametrize(("name", "begins"), [("scores.svg", b"<svg"), ("scores.pdf", b"%PDF")])
def test_one_figure_can_be_written_for_print(tmp_path: Path, name: str, begins: bytes) -> None:
    path = tmp_path / name
    assert _run(CASES / "contrary.csv", "--figure", "scores", "-o", path).exit_code == 0
    written = path.read_bytes()
    assert written.startswith(begins)
    assert b"var(--" not in written


def test_what_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    source = CASES / "contrary.csv"
    assert "must end in .html or .htm" in _refusal(_run(source, "-o", tmp_path / "report.pdf"))
    assert "must end in .svg or .pdf" in _refusal(
        _run(source, "--figure", "scores", "-o", tmp_path / "x.html")
    )
    assert "There is no figure 'tree'" in _refusal(_run(source, "--figure", "tree", "-o", tmp_path / "x.svg"))
    assert "cannot be written" in _refusal(_run(source, "--no-figures", "-o", tmp_path / "none" / "r.html"))
    assert "cannot be read" in _refusal(_run(tmp_path / "none.csv", "-o", tmp_path / "r.html"))


def test_without_the_drawing_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "vl_convert.py"
    hidden.write_text("raise ImportError('not installed')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    refusal = _refusal(_run(CASES / "contrary.csv", "-o", tmp_path / "r.html"))
    assert "pip install 'result-aggregator-service[report]'" in refusal
    assert not (tmp_path / "r.html").exists()


def test_coin_tosses_are_called_that_in_the_first_warning() -> None:
    session = simulated(Design.SWISS, items=30, decisions=300, spread=0, seed=4)
    for language, words in (
        (Language.ENGLISH, "no better than chance"),
        (Language.SWEDISH, "inte bättre än slumpen"),
    ):
        contents = contents_of("coins", session)
        shown = figures(contents, TEXTS[language], language.value)
        written = report_html(contents, shown, {}, language)
        first = re.search(r'<ul class="notices"><li>(.*?)</li>', written)
        assert first is not None
        assert words in first[1]


@pytest.mark.parametrize(
    "comparisons",
    [
        Comparisons.from_names(["t"], ["a"], ["b"]),
        Comparisons.from_names(["t", "t"], ["a", "x"], ["b", "y"]),
        Comparisons.from_names(["t"], ["a"], ["a"]),
        Comparisons.from_names(
            ["t"] * 3, ["a", "a", "b"], ["b", "c", "c"], tied=[True] * 3, shown_first=["a", "c", ""]
        ),
        field_case("nfd"),
        field_case("tie"),
    ],
    ids=["one decision", "two groups", "itself", "ties", "look-alikes", "equal"],
)
def test_odd_sessions_have_a_report_too(comparisons: Comparisons) -> None:
    for language in Language:
        contents = contents_of("odd", comparisons, justifications=["because\u202e"] * len(comparisons))
        shown = figures(contents, TEXTS[language], language.value)
        written = report_html(contents, shown, {}, language)
        assert "\u202e" not in written
        assert all(for_print(figure.spec) for figure in shown if figure.spec is not None)


def test_a_negative_reliability_is_not_called_a_share() -> None:
    contents = contents_of("nfd", field_case("nfd"))
    for language, words in (
        (Language.ENGLISH, "is -2.528, which is below 0"),
        (Language.SWEDISH, "är -2,528, alltså under 0"),
    ):
        assert words in account_of(contents, (), language).reliability


def _fields(template: str) -> set[Any]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_both_languages_have_every_text_with_the_same_values() -> None:
    english, swedish = TEXTS[Language.ENGLISH], TEXTS[Language.SWEDISH]
    assert english.keys() == swedish.keys()
    for name, template in english.items():
        assert _fields(template) == _fields(swedish[name]), name
    for kind in Kind:
        assert _fields(ENGLISH[kind]) == _fields(NOTICES[Language.SWEDISH][kind]), kind


def test_a_recorded_job_has_a_report_with_times_and_justifications(
    postgres_server: PostgresServerUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(postgres_server.url) as url, assessors_on(url) as assessors:
        job = Job("164", "b1")
        assessors.hear(
            [
                *round_robin(
                    job, [f"essay-{n:02}" for n in range(8)], ["teacher-0007", "teacher-0008", "teacher-0009"]
                )
            ]
        )
        monkeypatch.setenv("RAS_DATABASE_URL", url)
        path = tmp_path / "job.html"
        result = _run("164", "-o", path, "--no-figures")
        assert result.exit_code == 0, result.exception
        written = path.read_text(encoding="utf-8")
        assert "clearer, and closer to the text" in written
        assert ">3.143<" in written  # seconds per decision
        assert 'id="position"' in written
        assert "no judging job of this id" in _refusal(_run("165", "-o", path, "--no-figures"))


def test_scores_on_a_scale_with_grades_and_a_standard_are_tables_of_the_report(tmp_path: Path) -> None:
    session = field_case("contrary")
    scores = scores_of(session, estimate_scores(PairCounts.of(session))).items
    anchors = tmp_path / "anchors.csv"
    anchors.write_text(f"item,grade\n{scores[0].item},A\n{scores[-1].item},F\n", encoding="utf-8")
    path = tmp_path / "scaled.html"

    result = _run(
        *(CASES / "contrary.csv", "-o", path, "--no-figures", "--scale", "0-100"),
        *("--anchors", anchors, "--standard", scores[3].item),
    )

    assert result.exit_code == 0, result.exception
    written = path.read_text(encoding="utf-8")
    sections = {attributes.get("id") for attributes in _Document(written).all("section")}
    assert {"scaled", "boundaries", "next-pairs"} <= sections
    assert "<td class=number>100</td>" in written
    assert "<td class=short>F - A</td>" in written
    assert "meets the standard" in written
    assert "published grade" not in written


def test_a_scale_that_cannot_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    refused = _refusal(_run(CASES / "contrary.csv", "-o", path, "--no-figures", "--scale", "high"))
    assert "neither LOW-HIGH such as 0-100 nor mean=500,spread=100" in refused
    refused = _refusal(_run(CASES / "contrary.csv", "-o", path, "--no-figures", "--anchors", "published"))
    assert "has no published grades" in refused
    assert not path.exists()


def _written(comparisons: Comparisons, language: Language, title: str = "session") -> str:
    contents = contents_of(title, comparisons)
    return report_html(contents, figures(contents, TEXTS[language], language.value), {}, language)


def test_each_term_is_explained_once_where_it_first_stands(page: str) -> None:
    for explanation in TERMS[Language.ENGLISH].values():
        assert page.count(explanation.replace(" %", "\u00a0%").replace("'", "&#x27;")) <= 1, explanation
    trust, scores, texts = (
        page.split(f'<section id="{name}">')[0] for name in ("scores", "growth", "judges")
    )
    assert "SSR, scale separation reliability" in trust
    assert "Infit tells how far" in trust  # the contrary judge's warning has the word
    assert "The standard error tells" in scores
    assert "Outfit is like infit" in texts
    assert "docs/" not in page


def test_weak_links_are_told_in_the_words_of_the_report() -> None:
    page = _written(field_case("weak1"), Language.ENGLISH)
    warning = page[page.index("Weak link:") :].split("</li>")[0]
    assert not re.search(r"\bitems?\b|\bse\b", warning)
    assert "A logit is the unit of the scores" in page
    swedish = _written(field_case("weak1"), Language.SWEDISH)
    assert "En logit är poängens enhet" in swedish


@pytest.mark.parametrize("language", list(Language))
def test_the_data_for_pages_have_the_sentences_terms_and_numbers_of_the_file(language: Language) -> None:
    contents = contents_of("A class", field_case("contrary"))
    shown = figures(contents, TEXTS[language], language.value)
    page, data = (
        _written(field_case("contrary"), language),
        json.loads(report_json(contents, shown, {}, language)),
    )
    sections = [*data["figures"], data["surprises"]]
    terms = [*data["terms"], *(term for each in sections for term in each["terms"])]
    assert set(terms) <= set(TERMS[language].values())
    assert len(terms) == len(set(terms)) > 5
    cells = {text for each in sections for row in each["cells"] for _, text in row}
    for told in (*terms, data["reliability"], *data["warnings"], *cells):
        assert escape(re.sub(r"(?<=\d) %", "\u00a0%", told)) in page, told


def test_how_many_more_names_there_are_has_the_thousands_of_the_language() -> None:
    names = Names(f"essay-{number:04}.docx" for number in range(1206))
    assert f"{names:and}".endswith("essay-0004.docx and 1,201 more")
    assert f"{names:och|till~}".endswith("essay-0004.docx och 1\u00a0201 till")
    for template in NOTICES[Language.SWEDISH].values():
        assert "|till}" not in template


def test_columns_without_a_value_are_left_out_of_the_report() -> None:
    page = _written(field_case("contrary"), Language.ENGLISH)
    assert "seconds per decision" not in page
    assert "justification" not in page


def test_the_heading_names_what_was_judged_and_not_the_file(tmp_path: Path) -> None:
    source = tmp_path / "decisions.csv"
    source.write_text("judge,chosen,not_chosen\nteacher-0007,essay-01.docx,essay-02.docx\n", encoding="utf-8")
    path = tmp_path / "r.html"
    assert _run(source, "-o", path, "--no-figures").exit_code == 0
    page = path.read_text(encoding="utf-8")
    assert "<h1>Comparative judgement of 2 texts</h1>" in page
    assert "1 decision on 2 texts by 1 judge." in page


def test_swedish_numbers_have_a_decimal_comma_in_tables_axes_and_sentences(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    assert _run(CASES / "contrary.csv", "-o", path, "--language", "sv").exit_code == 0
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))
    numbers = [text for text in drawn if re.fullmatch(r"[\u2212-]?\d+[.,]\d+", text)]
    assert numbers
    assert all("," in number for number in numbers)
    large = simulated(Design.RANDOM, items=12, decisions=2500, spread=1, seed=2)
    assert not re.search(r"\d,\d{3} av", _written(large, Language.SWEDISH))


def test_the_heat_map_is_red_and_blue_and_labels_stand_apart() -> None:
    contents = contents_of("session", field_case("contrary"))
    specs = {each.name: each.spec for each in figures(contents, TEXTS[Language.ENGLISH], "en")}
    matrix = specs["matrix"]
    assert matrix is not None
    scale = matrix["layer"][0]["encoding"]["color"]["scale"]
    assert scale["interpolate"] == "rgb"
    for spec in specs.values():
        assert spec is None or spec["config"]["axisX"]["labelSeparation"] >= 6


def test_figures_of_many_texts_fit_on_a_page() -> None:
    session = simulated(Design.RANDOM, items=140, decisions=900, spread=1, seed=2)
    contents = contents_of("session", session)
    spec = figures(contents, TEXTS[Language.ENGLISH], "en")[0].spec
    assert spec is not None
    assert spec["height"]["step"] * 140 <= 900
