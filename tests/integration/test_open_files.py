"""The limit of open files that the system sets, tried in processes that have another one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from infrastructure.settings import Settings

_STREAMS = 5_000
"""As many live streams as one process shall carry."""

_TRIED = """
import resource, sys
from infrastructure.roles.open_files import connections_that_fit
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(connections_that_fit(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def tried(soft: int, hard: int, wanted: int) -> tuple[list[int], str]:
    """Return how many connections fit and the limit afterwards, and what was logged."""
    command = [sys.executable, "-c", _TRIED, str(soft), str(hard), str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    *logged, result = done.stdout.splitlines()
    return [int(each) for each in result.split()], "\n".join(logged) + done.stderr


@pytest.mark.parametrize(
    ("soft", "hard", "found"),
    [(64, 4_096, [1_000, 1_256]), (2_000, 4_096, [1_000, 2_000])],
    ids=["a low soft limit is raised", "a high one stays"],
)
def test_a_limit_that_can_be_raised_holds_what_is_wanted(soft: int, hard: int, found: list[int]) -> None:
    result, logged = tried(soft, hard, 1_000)

    assert result == found
    assert "RAS_HTTP_MAX_CONNECTIONS" not in logged


def test_a_limit_that_is_too_low_takes_fewer_connections_and_is_reported() -> None:
    result, logged = tried(64, 600, 1_000)

    assert result == [344, 600]
    assert "open 600 files" in logged
    assert "RAS_HTTP_MAX_CONNECTIONS" in logged
    assert "1,256" in logged


def test_a_process_may_carry_as_many_streams_as_it_shall() -> None:
    assert Settings(_env_file=None).http_max_connections > _STREAMS
