"""Names of people in the order of a language: å, ä and ö after z in Swedish and Finnish, æ, ø and å in Danish and
Norwegian, elsewhere with their base letters.

Base letters are compared first, then accents, then upper and lower case, as the Unicode Collation Algorithm does
(Unicode Technical Standard 10) for the letters of European languages. Digits count as text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

_AFTER_Z: Final[Mapping[str, str]] = {
    **dict.fromkeys(("sv", "fi"), "åäö"),
    **dict.fromkeys(("da", "nb", "nn", "no"), "æøå"),
}
_SAME: Final[Mapping[str, Mapping[str, str]]] = {
    **{language: {"æ": "ä", "ø": "ö"} for language in ("sv", "fi")},
    **{language: {"ä": "æ", "ö": "ø"} for language in ("da", "nb", "nn", "no")},
}

Key = tuple[str, str, str]


def sort_key(locale: str) -> Callable[[str], Key]:
    """The key by which names are sorted in `locale` (`sv`, `sv_SE.UTF-8`, `en-GB`); unknown ones sort as English."""
    language = locale.replace("-", "_").split("_", 1)[0].split(".", 1)[0].lower()
    after_z = {letter: chr(ord("{") + n) for n, letter in enumerate(_AFTER_Z.get(language, ""))}
    same = _SAME.get(language, {})

    def key(name: str) -> Key:
        composed = unicodedata.normalize("NFC", name)
        base = []
        for letter in composed.casefold():
            known = after_z.get(same.get(letter, letter))
            base.append(known or _without_marks(letter))
        return "".join(base), composed.casefold(), composed.swapcase()

    return key


def _without_marks(letter: str) -> str:
    plain = {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "þ": "th"}.get(letter)
    if plain is not None:
        return plain
    return "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
