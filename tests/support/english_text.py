"""Finds English in a page that is to be Swedish."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_WORDS: Final = re.compile(
    r"\b(the|is|are|was|not|of|and|this|there|yet|it|its|has|or|no|nothing|by|to|with|sign|search|batch|essay)\b(?!-)",
    re.IGNORECASE,
)
"""Common in English, and no words of Swedish."""
_SHOWN: Final = frozenset({"aria-label", "title", "alt", "placeholder"})
_VOID: Final = frozenset({"meta", "link", "input", "br", "wbr", "img", "hr"})
_NO_LANGUAGE: Final = frozenset({"code", "script", "style", "textarea", "small"})


class _Texts(HTMLParser):
    """Gathers what a page shows in its own language; what is marked as English, and code, has another."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        given = dict(attrs)
        foreign = (
            tag in _NO_LANGUAGE or given.get("lang") == "en" or "name" in (given.get("class") or "").split()
        )
        if not (foreign or any(self._open)):
            self.texts += [
                value for name, value in attrs if value and (name in _SHOWN or name.startswith("data-on"))
            ]
        if tag not in _VOID:
            self._open.append(foreign)

    def handle_endtag(self, tag: str) -> None:
        """Forget it."""
        if self._open and tag not in _VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if data.strip() and not any(self._open):
            self.texts.append(data.strip())


def english_in(content: str) -> list[str]:
    """Return the texts of an HTML page that are English, though they are not marked so."""
    reader = _Texts()
    reader.feed(content)
    return [text for text in reader.texts if _WORDS.search(text)]
