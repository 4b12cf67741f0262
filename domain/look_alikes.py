"""Names that look alike on screen and on paper, yet are different names.

Names are text and kept apart as they are. Two of them are look-alikes when they become equal by Unicode's
compatibility normalisation and case folding (NFKC_Casefold without ignorable characters, Unicode Standard, section
3.13; NFC and NFD spellings become equal, too), with all white space at the ends removed and in between made single.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

_INVISIBLE = {"Cf", "Cc"}


def look_alikes(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of names that look alike, each in the order of names."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_appearance(name)].append(name)
    return tuple(sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1))


def spelled(name: str) -> str:
    """The name in quotes, with what cannot be seen in it written out."""
    written = "".join(_written(letter) for letter in name)
    return f'"{written}"'


def _appearance(name: str) -> str:
    if name.isascii():
        return " ".join(name.split()).casefold()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(c for c in folded if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    return " ".join(visible.split())


def _written(letter: str) -> str:
    if letter == " " or (letter.isprintable() and not unicodedata.combining(letter)):
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
