"""Parts of the pages that need no server: intervals, orders, sentences, small lines."""

from __future__ import annotations

import orjson

from application.enrichment import AssessmentSummary, AssessmentUnavailable
from domain import narrative, narrative_swedish
from infrastructure.pages import sparklines, teacher
from infrastructure.pages.intervals import Intervals


def _summary(*jobs: dict[str, object]) -> AssessmentSummary:
    return AssessmentSummary(orjson.dumps({"batch_id": "b", "jobs": jobs}))


def _job(position: int, **intervals: tuple[float | None, ...]) -> dict[str, object]:
    ranking = [
        {"item": name, "lower": lower, "theta": theta, "upper": upper, "best_rank": 1, "worst_rank": 3}
        for name, (lower, theta, upper) in intervals.items()
    ]
    return {"provenance": {"position": position}, "ranking": ranking}


def test_the_newest_judging_of_a_text_decides_about_its_interval() -> None:
    found = Intervals(
        _summary(_job(9, a=(-1.0, 0.0, 1.0), c=(None, None, None)), _job(3, a=(5.0, 6.0, 7.0), b=(1, 2, 3)))
    )

    assert found.of("a") == {
        "theta": 0.0,
        "lower": -1.0,
        "upper": 1.0,
        "best_rank": 1,
        "worst_rank": 3,
        "drawn": {"theta": 25.0, "lower": 0.0, "upper": 50.0},
    }
    assert found.of("b")["drawn"] == {"theta": 75.0, "lower": 50.0, "upper": 100.0}
    assert found.of("c")["drawn"] is None


def test_without_the_assessment_app_there_are_no_intervals() -> None:
    assert Intervals(AssessmentUnavailable("It is not set up.")).of("a")["drawn"] is None


def test_one_text_that_is_known_exactly_is_drawn_too() -> None:
    assert Intervals(_summary(_job(1, a=(2, 2, 2)))).of("a")["drawn"] == {
        "theta": 0.0,
        "lower": 0.0,
        "upper": 0.0,
    }


def test_grades_go_from_the_best_to_the_worst() -> None:
    grades = ["B-", "C", "A", "B", "F+", "B+", "A-", "A+", "F"]

    ordered = [grade for grade, _ in teacher._grades([{"grade": grade} for grade in grades])]

    assert ordered == ["A+", "A", "A-", "B+", "B", "B-", "C", "F+", "F"]


def test_file_names_are_in_the_order_of_the_readers_language() -> None:
    names = ["Öberg.docx", "Zetterlund.docx", "Ärlig.docx", "adam.docx", "Åberg.docx"]
    rows = [{"filename": name, "essay_id": name} for name in names]

    swedish = [row["filename"] for row in sorted(rows, key=teacher._order("file", "sv"))]
    english = [row["filename"] for row in sorted(rows, key=teacher._order("file", "en"))]

    assert swedish == ["adam.docx", "Zetterlund.docx", "Åberg.docx", "Ärlig.docx", "Öberg.docx"]
    assert english == ["Åberg.docx", "adam.docx", "Ärlig.docx", "Öberg.docx", "Zetterlund.docx"]


def test_every_event_that_has_an_english_sentence_has_a_swedish_one() -> None:
    assert set(narrative_swedish._SENTENCES) == set(narrative._SENTENCES)


def test_a_lag_becomes_a_line_of_the_times_it_was_looked_at() -> None:
    lags = sparklines.Lags()
    for lag in (5, 10, 0, 10):
        assert lags.noted("ingest", "a topic", lag) == ""  # few points would look like a dot
        lags._noted_at.clear()
    line = "55,8.0 56,1.0 57,15.0 58,1.0 59,8.0"
    assert lags.noted("ingest", "a topic", 5) == line
    assert lags.noted("ingest", "a topic", 10**6) == line  # a second has not passed
    assert lags.noted("publish", "a topic", None) == ""
