"""The first requests that a newcomer can paste into a shell, in lines that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Final

PREFIX: Final = "/internal/v1"
_PLACES: Final = (
    ("A batch", "batches/$batch/status"),
    ("Why it is ready, or is not", "batches/$batch/readiness"),
    ("Its teacher's batches", "batches/user/$teacher?limit=5"),
    ("One of its essays", "essays/$essay/aggregated-analysis"),
    ("The same with its judging", "essays/$essay/aggregated-analysis?include=assessment"),
    ("The teacher's inbox", "teachers/$teacher/notifications"),
)


def first_requests(
    api: str, api_key: str, service: str, *, batch: str, teacher: str, essay: str
) -> Iterator[str]:
    """Yield the lines; variables hold what is long or differs."""
    yield f"api={api}"
    yield f"key={api_key}"
    yield f"service={service}"
    yield f"batch={quote(batch)}"
    yield f"teacher={quote(teacher)}"
    yield f"essay={quote(essay)}"
    yield 'ask() { curl -s -H "X-Internal-API-Key: $key" -H "X-Service-ID: $service" \\'
    yield f'  "$api{PREFIX}/$1"; echo; }}'
    for what, path in _PLACES:
        yield f"# {what}"
        yield f'ask "{path}"'
    yield "# Health and metrics"
    yield "curl -s $api/healthz"
    yield "curl -s $api/metrics"
