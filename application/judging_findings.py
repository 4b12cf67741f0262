"""The findings about a judging session as plain JSON values: the same in the app, the terminal and the report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from application.responses import judging_findings as responses
from domain.findings import Findings
from domain.notices import sentence

MOST_NAMES = 50
"""Of each side of a weak link or a one-way cut; the sizes tell how many there are."""


def findings_body(findings: Findings) -> responses.Findings:
    """Return the findings; names of large sets are cut at `MOST_NAMES`."""
    position = None if findings.position is None else asdict(findings.position)
    separation = findings.separation
    # Parts of it are the domain's own dataclasses, member by member; a test holds the whole to the type's schema.
    body: Any = {
        "notices": [
            {"kind": notice.kind.value, "warning": notice.is_warning, "text": sentence(notice)}
            for notice in findings.notices
        ],
        "forward_test": asdict(findings.forward_test),
        "adaptivity": asdict(findings.adaptivity),
        "items": [asdict(item) for item in findings.items],
        "weak_links": [
            {
                **_sides("one_side", link.one_side),
                **_sides("other_side", link.other_side),
                "decisions": link.decisions,
                "pairs": [list(pair) for pair in link.pairs],
                "shift_se": link.shift_se,
                "bridge": link.bridge,
            }
            for link in findings.weak_links
        ],
        "separation": {
            "won_all": list(separation.won_all),
            "lost_all": list(separation.lost_all),
            "sets": [
                {
                    **_sides("winners", cut.winners),
                    **_sides("losers", cut.losers),
                    "decisions": cut.decisions,
                }
                for cut in separation.sets
            ],
        },
        "position": position,
        "judges": [
            {
                "judge": check.judge,
                "agreement": asdict(check.agreement),
                "agreement_limit": check.agreement_limit,
                "infit": check.infit,
                "infit_limit": check.infit_limit,
                "verdict": check.verdict.value,
            }
            for check in findings.judges
        ],
        "ties": None if findings.ties is None else asdict(findings.ties),
        "look_alikes": {
            "items": [list(group) for group in findings.look_alike_items],
            "judges": [list(group) for group in findings.look_alike_judges],
        },
    }
    return cast("responses.Findings", body)


def _sides(name: str, side: tuple[str, ...]) -> dict[str, Any]:
    return {name: list(side[:MOST_NAMES]), f"{name}_size": len(side)}
