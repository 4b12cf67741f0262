"""Answers that are kept: bounded, and never in the way of a newer one."""

from __future__ import annotations

from application.queries import Edition
from infrastructure.http.response_cache import KeptAnswer, KeptAnswers

FIRST = Edition(1, 1)


def test_what_was_not_asked_for_in_the_longest_time_goes_first() -> None:
    kept = KeptAnswers(most_bytes=10)
    for name in "abc":
        kept.keep(name, KeptAnswer(b"123", FIRST))
    kept.find("a")
    kept.keep("d", KeptAnswer(b"12", FIRST))

    assert [name for name in "abcd" if kept.find(name)] == ["a", "c", "d"]


def test_a_newer_answer_takes_the_place_of_the_older() -> None:
    kept = KeptAnswers(most_bytes=10)
    for position in range(100):
        kept.keep("a", KeptAnswer(b"12345678", Edition(1, position)))

    assert kept.find("a") == KeptAnswer(b"12345678", Edition(1, 99))


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    kept = KeptAnswers(most_bytes=10)
    kept.keep("a", KeptAnswer(b"1" * 11, FIRST))
    kept.drop("never kept")

    assert kept.find("a") is None
    kept.keep("b", KeptAnswer(b"1" * 10, FIRST))
    assert kept.find("b") is not None
