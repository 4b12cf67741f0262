"""What tests need beyond Python, and what happens where it is missing.

By default a test that lacks something is skipped and the run's last lines say what to install. With
`RAS_TEST_REQUIRE=kafka,browser` (a list) the same test fails: a run that must prove something cannot pass
by leaving it out.
"""

import os
from typing import NoReturn

import pytest

KNOWN = frozenset({"kafka", "browser"})

left_out: dict[str, str] = {}
"""What was missing in this run: its name to what to install for it."""


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
    left_out[name] = install
    pytest.skip(f"no {name}: {install}")
