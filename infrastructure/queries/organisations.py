"""How many batches an organisation has, from the rows that say how many are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from application.responses.organisations import OrganisationCount, OrganisationSummary
from domain.values import CLIENT_STATUS

ALIKE: Final = """
    SELECT status, course_code, to_char(registered_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*) AS batches
    FROM ras_batch_results.batches WHERE org_id = %(org_id)s
    GROUP BY status, course_code, month ORDER BY month, course_code, status
"""


def summary_of(org_id: str, rows: Iterable[Mapping[str, Any]]) -> OrganisationSummary:
    """Return the summary; several statuses of upstream's may be one that clients see."""
    alike: Counter[tuple[str, str, Any]] = Counter()
    for row in rows:
        alike[row["month"], row["course_code"], CLIENT_STATUS[row["status"]]] += row["batches"]
    counts: list[OrganisationCount] = [
        {"status": status, "course_code": course, "month": month, "batches": batches}
        for (month, course, status), batches in sorted(alike.items())
    ]
    return {
        "org_id": org_id,
        "batches": alike.total(),
        "by_status": _summed((each["status"], each["batches"]) for each in counts),
        "by_course": _summed((each["course_code"], each["batches"]) for each in counts),
        "by_month": _summed((each["month"], each["batches"]) for each in counts),
        "counts": counts,
    }


def _summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, count in counts:
        sums[name] += count
    return dict(sorted(sums.items()))
