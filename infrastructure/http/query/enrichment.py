"""`?include=`: the additions to a response that clients can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from infrastructure.http.parameters import Parameter
from infrastructure.http.problems import Problem

ASSESSMENT: Final = "assessment"
GRAMMAR_ERRORS: Final = "grammar_errors"


class Include(Parameter):
    """A list, with commas between its names."""

    def __init__(self, choices: Mapping[str, str]) -> None:
        described = ". ".join(f"`{name}`: {text}" for name, text in choices.items())
        schema = {"type": "array", "items": {"type": "string", "enum": list(choices)}}
        super().__init__("include", f"What else to tell. {described}", schema)
        self._choices = choices

    def described(self) -> dict[str, Any]:
        """Return it as OpenAPI has it."""
        return {**super().described(), "style": "form", "explode": False}

    def of(self, request: Request) -> frozenset[str]:
        """Return what is asked for. Raises Problem 400 when anything is that is not among the choices."""
        if not request.scope["query_string"]:
            return frozenset()  # the way of most requests, which is measured
        given = request.query_params.getlist(self.name)
        wanted = frozenset(name.strip() for names in given for name in names.split(",")) - {""}
        if not wanted <= self._choices.keys():
            raise Problem(400, f"include can only be {' or '.join(self._choices)}.")
        return wanted


_ASSESSMENT: Final = "what the assessment app knows. Where it is slow or unavailable, `assessment` says so"

INCLUDE: Final = Include({ASSESSMENT: _ASSESSMENT})
INCLUDE_OF_ESSAY: Final = Include(
    {
        ASSESSMENT: _ASSESSMENT,
        GRAMMAR_ERRORS: "the errors of `grammar_analysis`, each with a piece of the text",
    }
)
