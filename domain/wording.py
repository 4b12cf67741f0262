"""Values in sentences, written as a language writes them: counted nouns, lists of names, numbers, percentages.

A sentence is a `str.format` template. Its values know how to be written: `{n:decision|decisions}` counts,
`{names:and}` lists, `{share:.}` and `{share:,}` write a percentage with the decimal sign named, and so does
`{gap:.}` a number.
"""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 5


class Count(int):
    """A whole number; `{:decision|decisions}` is "1 decision" or "1,200 decisions", `{}` "1,200", `{:~}` "1 200"."""

    def __format__(self, spec: str) -> str:
        if spec in ("", "~"):
            return f"{int(self):,}".replace(",", "\u00a0" if spec else ",")
        singular, _, plural = spec.partition("|")
        # A template with the numeral of another language ends in "~": thousands are then set apart by a space.
        written = f"{int(self):,}"
        if plural.endswith("~"):
            written, plural = written.replace(",", "\u00a0"), plural[:-1]
        return f"{written} {singular if self == 1 else plural}"


class Names(tuple[str, ...]):
    """Names; `{:and}` is "a, b and c", of more than five "a, b, c, d, e and 7 more" (`{:and|more}`).

    With a "~" at the end thousands are set apart by a space, as in `Count`.
    """

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        joint, _, more = (spec or "and|more").partition("|")
        return listed(self, joint=joint, more=more or "more")


class Percent(float):
    """A share; `{:.}` is "51.2 %", `{:,}` "51,2 %"."""

    def __format__(self, spec: str) -> str:
        return f"{100 * float(self):.1f}".replace(".", spec or ".") + " %"


class Figure(float):
    """A number with two decimals; `{:.}` is "9.87", `{:,}` "9,87"."""

    def __format__(self, spec: str) -> str:
        return f"{float(self):.2f}".replace(".", spec or ".")


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """`1 decision`, `1,200 decisions`."""
    return format(Count(number), f"{singular}|{plural or singular + 's'}")


def listed(names: Sequence[str], most: int = _NAMED, *, joint: str = "and", more: str = "more") -> str:
    """`a, b and c`; of more than `most` names the first, and how many more there are.

    `more` ends in "~" where thousands are set apart by a space, as in `Count`.
    """
    shown = list(names[:most])
    if left := len(names) - len(shown):
        return f"{', '.join(shown)} {joint} {Count(left):{more}|{more}}"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {joint} {shown[-1]}"
