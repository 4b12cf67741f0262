"""What answers carry under `assessment`, as bytes put together and as the JSON that they are."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.enrichment import (
    AssessmentUnavailable,
    batch_member,
    essay_member,
    summary_of,
    with_member,
)

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.text(), _VALUES, max_size=5)


@given(_OBJECTS, _VALUES)
def test_a_member_is_added_and_nothing_else_changes(body: dict[str, Any], member: Any) -> None:
    body.pop("assessment", None)
    written = orjson.dumps(body)

    extended = with_member(written, "assessment", orjson.dumps(member))

    assert extended == orjson.dumps({**body, "assessment": member})
    assert extended.startswith(written.removesuffix(b"}"))


@given(_OBJECTS, st.lists(_OBJECTS, max_size=3))
def test_a_batch_gets_the_summary_as_it_came(more: dict[str, Any], jobs: list[dict[str, Any]]) -> None:
    body = {**more, "batch_id": "b", "jobs": jobs}

    member = orjson.loads(batch_member(summary_of("b", dict(body))))

    assert member == {**body, "available": True}


@given(_OBJECTS, st.lists(_OBJECTS, max_size=3), st.text())
def test_an_essays_member_is_about_the_essay_whatever_the_summary_holds(
    more: dict[str, Any], jobs: list[dict[str, Any]], essay_id: str
) -> None:
    judged = {"job_id": "1", "ranking": [{"item": essay_id}], "misfits": {"items": [essay_id]}}
    summary = summary_of("b", {**more, "batch_id": "b", "jobs": [*jobs, judged]})

    member = orjson.loads(essay_member(summary, essay_id))

    assert (member["available"], member["essay_id"]) == (True, essay_id)
    assert member["jobs"][-1] == {"job_id": "1", "essay": {"item": essay_id}, "misfit": True}


@pytest.mark.parametrize("misfits", [None, [], {}, {"items": None}, {"items": ["e2"]}, "e1"])
def test_an_essay_that_no_list_of_misfits_names_is_none(misfits: Any) -> None:
    job = {"job_id": "1", "ranking": [{"item": "e1"}], "misfits": misfits}
    member = orjson.loads(essay_member(summary_of("b", {"batch_id": "b", "jobs": [job]}), "e1"))
    assert member["jobs"] == [{"job_id": "1", "essay": {"item": "e1"}, "misfit": False}]


def test_a_reason_is_told_alike_of_batch_and_essay() -> None:
    away = AssessmentUnavailable("It is unavailable.")
    assert orjson.loads(batch_member(away)) == {"available": False, "reason": "It is unavailable."}
    assert essay_member(away, "e1") == batch_member(away)
