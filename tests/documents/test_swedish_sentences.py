"""What RAS says while it works is there in Swedish: each sentence that a page can show is found in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Formatter

import pytest

import infrastructure
from infrastructure.pages import rendering
from infrastructure.pages.swedish_sentences import SENTENCES, in_swedish

_ROOT = Path(infrastructure.__file__).parent.parent
_RAISED = {
    "Problem": 1,
    "InvalidTokenError": 0,
    "ProviderUnavailableError": 0,
    "UnknownLetterError": 0,
    "UnreadableLetterError": 0,
    "LetterSettledError": 0,
    "NoSuchStreamError": 0,
    "StillUnreadableError": 0,
}
"""Errors whose text a page shows, and which argument the text is."""
_MODULES = [
    *sorted((_ROOT / "infrastructure" / "pages").glob("*.py")),
    *(
        _ROOT / name
        for name in (
            "infrastructure/http/identity.py",
            "infrastructure/http/sessions.py",
            "application/settle.py",
            "application/drain.py",
            "domain/dead_letters.py",
        )
    ),
]


def _sentences(module: Path) -> Iterator[str]:
    """Yield the texts of the errors that a module raises, with an example for each part that differs."""
    yield from _texts(
        node.args[_RAISED[node.func.id]]
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and len(node.args) > _RAISED.get(node.func.id, len(node.args))
    )


def _details_of_rebuilds() -> Iterator[str]:
    """Yield what a rebuild notes about how it went: why it was abandoned, and what it was compared with."""
    folder = _ROOT / "infrastructure" / "rebuild"
    for node in ast.walk(ast.parse((folder / "journal.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == "_misfit":
            yield from _texts(
                each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value
            )
    for node in ast.walk(ast.parse((folder / "rebuild.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "detail":
            yield from _texts([node.value])


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x7" for part in parts)


def test_the_search_finds_sentences_with_and_without_parts_that_differ() -> None:
    found = {text for module in _MODULES for text in _sentences(module)}
    assert {
        "There is no such batch, or it belongs to somebody else.",
        "The form is longer than x7 bytes.",
        "x7 must be a whole number.",
    } <= found
    assert len(found) > 30


@pytest.mark.parametrize("module", _MODULES, ids=lambda path: path.name)
def test_every_sentence_that_a_page_can_show_is_there_in_swedish(module: Path) -> None:
    composed = {"x7: x7."}  # of a request and its rule; both are translated as a whole
    assert [text for text in _sentences(module) if text not in composed and in_swedish(text) is None] == []


def test_every_detail_of_a_rebuild_is_there_in_swedish() -> None:
    details = list(_details_of_rebuilds())
    assert len(details) == 5
    assert [text for text in details if in_swedish(text) is None] == []


def test_a_translation_has_a_place_for_each_part_that_differs() -> None:
    for english, swedish in SENTENCES.items():
        places = [
            [name for _, name, _, _ in Formatter().parse(text) if name is not None]
            for text in (english, swedish)
        ]
        assert places[0] == places[1], english


def test_a_part_that_is_a_sentence_itself_is_translated_too() -> None:
    assert in_swedish("The corrected message is refused. It has more than 10,000 bytes.") == (
        "Det rättade meddelandet godtas inte. Det är större än 10,000 byte."
    )


def test_what_others_said_stays_text_and_is_marked_as_english() -> None:
    said = rendering._environment("sv").from_string("{{ text|said }}")
    assert said.render(text="<b>broken</b>") == '<span lang="en">&lt;b&gt;broken&lt;/b&gt;</span>'
    assert (
        said.render(text="The identity provider refused: <b>.") == "Identitetsleverantören nekade: &lt;b&gt;."
    )
    assert rendering._environment("en").from_string("{{ text|said }}").render(text="<b>") == "&lt;b&gt;"
