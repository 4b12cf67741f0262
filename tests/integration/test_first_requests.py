"""The lines that `ras up` and `ras demo --keep` print to paste."""

from __future__ import annotations

import subprocess
from pathlib import Path

from infrastructure.local.deployment import kept_key
from infrastructure.local.first_requests import first_requests

UUID = "12345678-9abc-4def-8123-456789abcdef"
KEY = "k" * 43


def lines() -> list[str]:
    """Return them, with ids and a key as long as real ones."""
    return list(
        first_requests(
            "http://127.0.0.1:43567", KEY, "api-gateway-service", batch=UUID, teacher=UUID, essay=UUID
        )
    )


def test_no_line_is_broken_by_a_terminal_of_80_columns() -> None:
    assert max(map(len, lines())) <= 80


def test_pasted_they_ask_with_the_key_and_the_service() -> None:
    curl = "curl() { printf '%s|' \"$@\"; }\n"
    ran = subprocess.run(
        ["sh", "-eu"], input=curl + "\n".join(lines()), capture_output=True, text=True, check=True
    )
    asked = ran.stdout.splitlines()

    assert asked[0] == (
        f"-s|-H|X-Internal-API-Key: {KEY}|-H|X-Service-ID: api-gateway-service|"
        f"http://127.0.0.1:43567/internal/v1/batches/{UUID}/status|"
    )
    assert len(asked) == 7
    assert asked[-1].endswith("|http://127.0.0.1:43567/metrics|")


def test_the_key_is_kept_for_its_user_alone(tmp_path: Path) -> None:
    key = kept_key(tmp_path)

    assert kept_key(tmp_path) == key
    [kept] = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_text("")
    assert len(kept_key(tmp_path)) >= 43
