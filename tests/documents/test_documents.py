"""What the documents point at exists, and their lines are short enough to read side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_DOCUMENTS: Final = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md", "examples/**/*.md", "deploy/**/*.md")
    for path in _ROOT.glob(pattern)
)
_LINK: Final = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
_PATH: Final = re.compile(
    r"`((?:domain|application|projections|infrastructure|tests|benchmarks|docs|examples|deploy)/[\w./-]*)`"
)
_MADE: Final = {"benchmarks/NAME.py", "benchmarks/results/"}  # a placeholder, and what a run writes
_WIDEST: Final = 100


def _name(path: Path) -> str:
    return str(path.relative_to(_ROOT))


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_name)
def test_links_and_paths_lead_to_something(document: Path) -> None:
    text = document.read_text()

    missing = [link for link in _LINK.findall(text) if not (document.parent / link).exists()]
    if not document.is_relative_to(_ROOT / "docs" / "decisions"):  # a decision speaks of its own day
        missing += [path for path in _PATH.findall(text) if path not in _MADE and not (_ROOT / path).exists()]

    assert missing == []


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_name)
def test_lines_outside_tables_and_code_are_at_most_100_characters_wide(document: Path) -> None:
    assert [line for line in _prose(document.read_text()) if len(line) > _WIDEST] == []


def test_the_table_of_what_to_change_where_has_at_least_fifteen_links() -> None:
    table = (_ROOT / "docs" / "architecture.md").read_text().split("## To change X, look at Y")[1]

    assert len(_LINK.findall(table.split("\n## ")[0])) >= 15


def test_no_two_decisions_share_a_number() -> None:
    numbers = [path.name[:4] for path in (_ROOT / "docs" / "decisions").glob("*.md")]

    assert len(numbers) == len(set(numbers))


def _prose(text: str) -> Iterator[str]:
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if not (fenced or line.startswith(("|", "    "))):
            yield line
