"""Finds misspelt settings: names that look like settings and are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

_PREFIX: Final = "RAS_"
_OF_THE_TESTS: Final = "RAS_TEST_"


def unknown_settings(names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each of `names` that begins with `RAS_` and is not in `known`.

    Both are names of variables, in any case (`RAS_API_PORT`). The tests' own variables are left out.
    """
    settings = {name.upper() for name in known}
    for name in sorted({name.upper() for name in names}):
        if name.startswith(_PREFIX) and not name.startswith(_OF_THE_TESTS) and name not in settings:
            nearest = _nearest(name, settings)
            hint = f" Did you mean {nearest}?" if nearest else " README.md lists the settings."
            yield f"{name} is not a setting and has no effect.{hint}"


def _nearest(name: str, settings: set[str]) -> str | None:
    """Return the setting that `name` begins or resembles most."""
    longer = [setting for setting in settings if setting.startswith(name)]
    if longer:
        return min(longer, key=len)
    return next(iter(get_close_matches(name, settings, n=1, cutoff=0.75)), None)
