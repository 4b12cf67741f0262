"""`?include=`: the additions to a response that clients can ask for."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from infrastructure.http.parameters import Parameter
from infrastructure.http.problems import Problem

ASSESSMENT: Final = "assessment"
INCLUDE: Final = Parameter(
    "include",
    "What else to tell: what the assessment app knows. Where it is slow or away, `assessment` says so",
    {"type": "string", "enum": [ASSESSMENT]},
)


def wants_assessment(request: Request) -> bool:
    """Whether the assessment is asked for. Raises Problem 400 when anything else is."""
    if not request.scope["query_string"]:
        return False  # the way of most requests, which is measured
    given = request.query_params.getlist(INCLUDE.name)
    wanted = {name.strip() for names in given for name in names.split(",")} - {""}
    if wanted - {ASSESSMENT}:
        raise Problem(400, f"include can only be {ASSESSMENT}.")
    return bool(wanted)
