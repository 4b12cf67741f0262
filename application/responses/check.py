"""The response of the check: do all accounts agree?"""

from __future__ import annotations

from typing_extensions import TypedDict

from application.responses.kinds import Count


class CheckAccount(TypedDict):
    """Two counts that must be the same."""

    name: str
    expected: Count
    found: Count
    unit: str
    agrees: bool


class CheckFinding(TypedDict):
    """One thing that does not fit."""

    account: str
    id: str
    detail: str


class Check(TypedDict):
    """What a check found."""

    consistent: bool
    since: Count
    position: Count
    accounts: list[CheckAccount]
    findings: list[CheckFinding]
    unnamed_findings: Count
    notes: list[str]
