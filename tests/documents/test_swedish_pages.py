"""The pages' Swedish texts are those that the templates use."""

from __future__ import annotations

import re
from pathlib import Path

from infrastructure.pages import swedish

_FOLDER = Path(swedish.__file__).parent


def test_every_text_of_the_pages_is_there_in_swedish_and_no_other() -> None:
    templates = "".join(path.read_text() for path in (_FOLDER / "templates").glob("*.html"))
    used = set(re.findall(r'\b_\("((?:[^"\\]|\\.)*)"', templates))
    code = "".join(path.read_text() for path in _FOLDER.glob("*.py") if path.name != "swedish.py")

    assert used - swedish.SWEDISH.keys() == set()
    assert {text for text in swedish.SWEDISH.keys() - used if text not in code} == set()
