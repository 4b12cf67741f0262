"""Records and events that differ after a restore of the database: what is excused, and what is not."""

from __future__ import annotations

from typing import Final

import pytest

from infrastructure.check.renumbered_records import Outline, Record, matched

_TOPIC: Final = "notifications"


def _id(name: str) -> Record:
    return _TOPIC, name


def _news(batch: str, time: str = "then", *, key: bytes = b"teacher") -> Outline:
    return Outline(("results", batch), key, time, is_step=False)


def _step(what: str, time: str = "then") -> Outline:
    return Outline(("step", what), b"teacher", time, is_step=True)


def test_the_same_at_another_time_under_the_same_id_was_sent_before() -> None:
    found, altered = matched({_id("a"): _news("b-1", "now")}, {_id("a"): _news("b-1")}, {_id("a")})

    assert not altered
    assert (found.sent_before, found.steps_there, found.steps_due) == ({}, set(), set())


@pytest.mark.parametrize(
    "there", [_news("b-1", key=b"other", time="now"), _news("b-1"), _news("b-2", "now")], ids=str
)
def test_another_key_content_or_batch_under_the_same_id_is_altered(there: Outline) -> None:
    _, altered = matched({_id("a"): _news("b-1", "then")}, {_id("a"): there}, {_id("a")})

    assert altered == {_id("a")}


def test_the_same_under_another_id_was_sent_before() -> None:
    found, altered = matched({_id("now"): _news("b-1", "now")}, {_id("then"): _news("b-1")}, set())

    assert found.sent_before == {_id("then"): _id("now")}
    assert not altered


def test_an_id_of_news_that_stands_for_a_step_now_and_the_other_way_round() -> None:
    due = {_id("a"): _step("1 of 2", "now"), _id("b"): _news("b-1", "now")}
    there = {_id("a"): _news("b-1"), _id("b"): _step("2 of 2")}

    found, altered = matched(due, there, {_id("a"), _id("b")})

    assert not altered
    assert found.sent_before == {_id("a"): _id("b")}
    assert found.steps_there == {_id("b")}
    assert found.steps_due == {_id("a")}


def test_news_whose_event_has_the_id_of_a_step_is_matched_with_it_and_not_with_a_step() -> None:
    """A step of the same batch has another id that nothing calls for: it must not be taken for the news."""
    due = {_id("b"): _news("b-1", "now")}
    there = {_id("b"): _step("1 of 2"), _id("c"): _step("2 of 2"), _id("x"): _news("b-1")}

    found, altered = matched(due, there, {_id("b")})

    assert not altered
    assert found.sent_before == {_id("x"): _id("b")}
    assert found.steps_there == {_id("b"), _id("c")}


def test_without_a_sign_of_a_restore_a_step_that_nothing_calls_for_is_not_excused() -> None:
    found, altered = matched({_id("a"): _step("1 of 2")}, {_id("a"): _step("2 of 2")}, {_id("a")})

    assert altered == {_id("a")}
    assert not found.steps_there
    assert not found.steps_due


def test_news_that_was_never_sent_is_not_excused_by_a_restore() -> None:
    due = {_id("a"): _news("b-1", "now"), _id("b"): _news("b-2", "now")}
    there = {_id("a"): _news("b-1"), _id("b"): _step("1 of 2")}

    found, altered = matched(due, there, {_id("a"), _id("b")})

    assert altered == {_id("b")}
    assert not found.sent_before
