"""What tests need beyond Python, and what happens where it is missing.

By default a test that lacks something is skipped and the run's last lines say what to install. With
`RAS_TEST_REQUIRE=kafka,browser` (a list) the same test fails: a run that must prove something cannot pass
by leaving it out.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest

KNOWN = frozenset({"kafka", "browser", "packages"})


def required() -> frozenset[str]:
    """The names in RAS_TEST_REQUIRE. Raises pytest.UsageError for one that no test knows."""
    names = frozenset(
        name.strip() for name in os.environ.get("RAS_TEST_REQUIRE", "").split(",") if name.strip()
    )
    if unknown := names - KNOWN:
        raise pytest.UsageError(f"RAS_TEST_REQUIRE names {sorted(unknown)}; known are {sorted(KNOWN)}")
    return names


def missing(name: str, *, install: str) -> NoReturn:
    """Skip the running test, or fail it if `name` is required; `install` says what to install to run it."""
    if name in required():
        pytest.fail(f"{name} is required by RAS_TEST_REQUIRE and missing: {install}", pytrace=False)
    pytest.skip(f"no {name}: {install}")


def left_out(reasons: Iterable[str]) -> list[tuple[str, str, int]]:
    """Return what was missing, given why tests were skipped: name, what to install, number of tests."""
    told = (re.fullmatch(r"Skipped: no (\w+): (.*)", reason, re.DOTALL) for reason in reasons)
    counted = Counter((found[1], found[2]) for found in told if found and found[1] in KNOWN)
    return [(name, install, count) for (name, install), count in sorted(counted.items())]
