"""Conservation: what came in, what was recorded, what the read models hold and what went out, counted against
each other. An account holds two counts that must agree; a finding names one thing that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from application.responses.check import Check

MOST_FINDINGS: Final = 1000
"""A report names at most this many, and gives the number of the others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit. `id` names it (a stream and version, a row's key, an event id)."""

    account: str
    id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Account:
    """Two counts of the same thing, by those who should know."""

    name: str
    expected: int
    found: int
    unit: str

    @property
    def agrees(self) -> bool:
        """Whether both counts are the same."""
        return self.expected == self.found


@dataclass(slots=True)
class Report:
    """What a check came to. `position` is the notification id up to which events were looked at."""

    since: int = 0
    position: int = 0
    accounts: list[Account] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unnamed_findings: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def consistent(self) -> bool:
        """Whether everything agrees."""
        return not self.findings and not self.unnamed_findings and all(a.agrees for a in self.accounts)

    def found(self, findings: Iterable[Finding]) -> None:
        """Take over findings, up to the most that a report names."""
        for finding in findings:
            if len(self.findings) < MOST_FINDINGS:
                self.findings.append(finding)
            else:
                self.unnamed_findings += 1

    def as_json(self) -> Check:
        """Return the report as plain JSON values."""
        return {
            "consistent": self.consistent,
            "since": self.since,
            "position": self.position,
            "accounts": [
                {
                    "name": account.name,
                    "expected": account.expected,
                    "found": account.found,
                    "unit": account.unit,
                    "agrees": account.agrees,
                }
                for account in self.accounts
            ],
            "findings": [
                {"account": finding.account, "id": finding.id, "detail": finding.detail}
                for finding in self.findings
            ],
            "unnamed_findings": self.unnamed_findings,
            "notes": self.notes,
        }
