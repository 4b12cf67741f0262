"""Upstream's schemas of the API's bodies, and the form its clients expect times in."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema_rs import Draft202012Validator

_FOLDER: Final = Path(__file__).parents[1] / "contracts" / "schemas"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_TIMES: Final = frozenset({"last_updated", "since", "timestamp"})
_NOT_OURS: Final = frozenset({"student_prompt_ref", "headers", "details"})
"""Members that are passed on as they came."""


def check_body(name: str, body: Any) -> None:
    """Check `body` against upstream's schema rest-NAME, and that its times are UTC with `Z`."""
    _validator(name).validate(body)
    check_times(body)


def check_error(body: Any) -> None:
    """Check that upstream's clients know the error in `body`."""
    _validator("error").validate(body)


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((_FOLDER / f"rest-{name}.schema.json").read_bytes())
    return Draft202012Validator(schema)


def check_times(value: Any) -> int:
    """Check that all times of an answer are written as upstream's front end wants them; return how many there are."""
    if isinstance(value, list):
        return sum(map(check_times, value))
    if not isinstance(value, dict):
        return 0
    times = [name for name, each in value.items() if is_time(name) and isinstance(each, str)]
    for name in times:
        assert _TIME.fullmatch(value[name]), (name, value[name])
    return len(times) + sum(check_times(each) for name, each in value.items() if name not in _NOT_OURS)


def is_time(name: str) -> bool:
    """Whether a member of this name holds a time."""
    return name.endswith("_at") or name in _TIMES
