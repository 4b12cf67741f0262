"""Upstream's schemas of the API's bodies, and the form its clients expect times in."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

_FOLDER: Final = Path(__file__).parents[1] / "contracts" / "schemas"
_TIME_WITHOUT_ZONE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?")
_TIMES: Final = frozenset(
    {
        "created_at",
        "last_updated",
        "processing_started_at",
        "processing_completed_at",
        "checked_at",
        "assessed_at",
    }
)


def check_body(name: str, body: Any) -> None:
    """Check `body` against upstream's schema rest-NAME, and that its times have no zone.

    Formats are not asserted: RFC 3339 knows no time without zone, upstream's clients no other.
    """
    _validator(name).validate(body)
    _check_times(body)


def check_error(body: Any) -> None:
    """Check that upstream's clients know the error in `body`."""
    _validator("error").validate(body)


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((_FOLDER / f"rest-{name}.schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _check_times(value: Any) -> None:
    if isinstance(value, list):
        for each in value:
            _check_times(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in _TIMES and each is not None:
                assert _TIME_WITHOUT_ZONE.fullmatch(each), (name, each)
            else:
                _check_times(each)
