"""File names: decoded once for display, where they decode to text."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.file_names import shown_name


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("Student%20Name%20(Class).docx", "Student Name (Class).docx"),
        ("%C3%85sa%20%C3%96berg.docx", "Åsa Öberg.docx"),
        ("Åsa%20%C3%96berg.docx", "Åsa Öberg.docx"),
        ("%e2%82%ac.docx", "€.docx"),
        ("essay-03.docx", "essay-03.docx"),
        ("a+b.docx", "a+b.docx"),
        ("a%2Fb.docx", "a/b.docx"),
        ("", ""),
    ],
)
def test_a_percent_encoded_name_is_shown_as_it_was_written(recorded: str, shown: str) -> None:
    assert shown_name(recorded) == shown


@pytest.mark.parametrize(
    "recorded",
    [
        "%C5sa.docx",  # Latin-1
        "%C3%A5%FF.docx",
        "%ED%A0%80.docx",  # a surrogate
        "%C0%AF.docx",  # overlong
        "100%.docx",
        "100% sure.docx",
        "%zz.docx",
        "%u00e5.docx",
        "a%00b.docx",
        "a%0Ab.docx",
        "a%1b[31m.docx",
        "a%C2%85b.docx",
        "\ud800%20.docx",
    ],
)
def test_a_name_that_does_not_decode_to_text_is_shown_as_it_was_recorded(recorded: str) -> None:
    assert shown_name(recorded) == recorded


def test_a_name_is_decoded_once() -> None:
    assert shown_name("50%2525.docx") == "50%25.docx"
    assert shown_name("a%2520b.docx") == "a%20b.docx"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
@example("100 %41.docx")
def test_whatever_a_browser_encodes_is_shown_as_it_was(name: str) -> None:
    assert shown_name(quote(name)) == name
