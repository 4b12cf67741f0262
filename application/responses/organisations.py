"""Answers about an organisation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from application.responses.kinds import Count
from domain.values import ClientStatus

Month = Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}$")]


class OrganisationCount(TypedDict):
    """How many batches share a status, a course and the month of their registration."""

    status: ClientStatus
    course_code: str
    month: Month
    batches: Count


class OrganisationSummary(TypedDict):
    """How many batches an organisation has: `counts` by all three together, the others by one of them."""

    org_id: str
    batches: Count
    by_status: dict[str, Count]
    by_course: dict[str, Count]
    by_month: dict[str, Count]
    counts: list[OrganisationCount]
