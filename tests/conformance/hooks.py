"""What schemathesis is to pass over: refusals by rules that OpenAPI has no words for. Its own process loads this."""

from __future__ import annotations

import os
import re
from typing import Any, Final

import schemathesis
from schemathesis.core.failures import Failure, ServerError
from schemathesis.openapi.checks import RejectedPositiveData

KNOWN_RUN: Final = "CONFORMANCE_KNOWN_RUN"
"""In the environment: the id of a check that exists."""

_RULES: Final = re.compile(
    "include and as_of do not go together"
    "|wait and after do not go with as_of"
    "|by goes with as_of"
    "|The log ends at"
    "|Choose by reason, topic, since, until"
    "|There is no (judge|text) "
    "|The corrected message is refused"
    "|No decision is left with these options"
    "|must be a text of 1 to 500 characters, printable, on one line"
)
"""Of several parameters at once, or of a parameter and the data: each is written in the operation's description."""

_LAGS: Final = re.compile("The read model [a-z_]+ is at position [0-9]+, not yet at [0-9]+")
"""`after` names a position that is recorded and not projected yet."""


_runs: list[str] = []
"""The checks that were begun: the process that answers remembers its last five."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Ask for the newest check where one is meant that exists."""
    del context, kwargs
    if _runs and case.path_parameters.get("run_id") == os.environ[KNOWN_RUN]:
        case.path_parameters["run_id"] = _runs[-1]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Note the check that was begun."""
    del context
    if case.path.endswith("/ops/check") and response.status_code == 202:
        _runs.append(response.json()["id"])


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Whether a failure counts."""
    del context, case
    if isinstance(failure, RejectedPositiveData):
        return _RULES.search(response.text) is None
    return not (isinstance(failure, ServerError) and _LAGS.search(response.text))
