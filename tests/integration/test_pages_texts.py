"""The texts of the pages: each is there in both languages."""

from __future__ import annotations

import re
from string import Formatter

from infrastructure.pages import rendering
from infrastructure.pages.swedish import SWEDISH


def test_every_text_of_the_pages_is_there_in_swedish() -> None:
    folder = rendering._FOLDER
    used = {
        text
        for template in (folder / "templates").glob("*.html")
        for text in re.findall(r'\b_\("([^"]*)"', template.read_text(encoding="utf-8"))
    }
    titles = {
        text
        for module in folder.glob("*.py")
        for text in re.findall(r'title="([^"]*)"', module.read_text(encoding="utf-8"))
    }
    faults = {text for pair in rendering._FAULTS.values() for text in pair}

    assert used | titles | faults == set(SWEDISH)


def test_a_translation_names_what_the_text_names() -> None:
    for english, swedish in SWEDISH.items():
        names = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (english, swedish)]
        assert names[0] == names[1], english
