"""From the stored facts of a batch to what follows from them: asked of the domain, essay by essay.

Nothing is decided here. The read model holds facts; the domain's functions say how each essay stands. What
decides about an essay are two facts of its own, so SQL hands them over as one letter an essay, and the domain is
asked once for each letter: a batch of ten thousand essays costs six questions, and one for each essay that a
phase reported as failed by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from domain.completion import Requirements, Standing, Tally, requirements
from domain.error_details import missing_assessment
from domain.values import BatchStatus

SEPARATOR: Final = "\x1e"
"""Between the members of a list in text form. JSON escapes it, and PostgreSQL's ids never hold it."""

LETTER: Final = """
    chr(65 + 2 * CASE x.spellcheck_status WHEN 'completed' THEN 1 WHEN 'failed' THEN 2 ELSE 0 END
        + (r.rank IS NOT NULL)::int)
"""
"""An essay's own facts: its spellcheck's end, and whether the newest assessment ranks it."""

_FACTS: Final[Mapping[str, tuple[bool | None, bool]]] = {
    "A": (None, False),
    "B": (None, True),
    "C": (True, False),
    "D": (True, True),
    "E": (False, False),
    "F": (False, True),
}
_UNNAMED: Final = "\0"
"""Stands for every essay that no phase reported by name; no stored id can hold it."""
_SHOWN: Final[Mapping[bool | None, str | None]] = {None: None, True: "completed", False: "failed"}


class BatchStanding:
    """How the essays of a batch stand. `row` has the batch's facts, `letters` are those of its expected essays."""

    def __init__(self, row: Mapping[str, Any], letters: str, *, has_spellchecks: bool) -> None:
        self._row = row
        self._letters = letters
        self._is_assessed = row["assessed_at"] is not None
        outcomes = {
            phase: failed
            for phase, (status, failed) in (row["outcomes"] or {}).items()
            if BatchStatus(status).reports_results
        }
        self._named = frozenset().union(*outcomes.values())
        self._requirements = requirements(
            row["named_phases"] or (),
            outcomes,
            spellchecked=has_spellchecks,
            ranked=frozenset() if self._is_assessed else None,
        )

    @property
    def required(self) -> tuple[str, ...]:
        """The phases that the batch needs."""
        return self._requirements.phases

    @property
    def spellchecked(self) -> int:
        """How many expected essays have a spellcheck result."""
        return len(self._letters) - self._letters.count("A") - self._letters.count("B")

    def tally(self, essay_ids: str) -> Tally:
        """Count the essays; `essay_ids` is the list of their ids, in the order of their letters."""
        tally, others = Tally(), Counter(self._letters)
        for number, essay_id in self._named_among(essay_ids):
            letter = self._letters[number]
            tally.count(self.standing(essay_id, letter))
            others[letter] -= 1
        for letter, count in others.items():
            if count:
                tally.count(self.standing(_UNNAMED, letter), count)
        return tally

    def standing(self, essay_id: str, letter: str) -> Standing:
        """Return how an essay stands over all required phases together."""
        spellchecked, _ = _FACTS[letter]
        return self._measured(essay_id, letter).standing(essay_id, spellchecked=spellchecked)

    def judged(self, essay_id: str, letter: str) -> str | None:
        """Return how comparative judgement ended for an essay, None where it did not get there, or not yet."""
        spellchecked, _ = _FACTS[letter]
        return _SHOWN[self._measured(essay_id, letter).judgement(essay_id, spellchecked=spellchecked)]

    def essays(self, essay_ids: str, objects: str) -> str:
        """Return the JSON array of the essays, whose JSON `objects` lack what follows from other facts."""
        if not objects:
            return "[]"
        shown = objects.split(SEPARATOR)
        by_letter = {letter: self._end(_UNNAMED, letter) for letter in set(self._letters)}
        ends = [by_letter[letter] for letter in self._letters]
        for number, essay_id in self._named_among(essay_ids):
            ends[number] = self._end(essay_id, self._letters[number])
        return f"[{','.join(one[:-1] + end for one, end in zip(shown, ends, strict=True))}]"

    def _named_among(self, essay_ids: str) -> list[tuple[int, str]]:
        if not self._named:
            return []
        numbered = enumerate(essay_ids.split(SEPARATOR))
        return [(number, essay_id) for number, essay_id in numbered if essay_id in self._named]

    def _measured(self, essay_id: str, letter: str) -> Requirements:
        """Return the requirements for one essay: of the ranking they need to know this essay alone."""
        if not _FACTS[letter][1] or not self._is_assessed:
            return self._requirements
        return self._requirements.with_ranked(essay_id)

    def _end(self, essay_id: str, letter: str) -> str:
        judged = self.judged(essay_id, letter)
        error = None
        if judged == "failed":
            error = missing_assessment(self._row["assessment_job_id"], self._row["assessed_at"])
        members = {"cj_assessment_status": judged, "cj_assessment_error_detail": error}
        return f",{orjson.dumps(members).decode()[1:]}"


def has_spellchecks(letters: Iterable[str]) -> bool:
    """Whether any of these essays has a spellcheck result."""
    return any(_FACTS[letter][0] is not None for letter in set(letters))


def standing_of(row: Mapping[str, Any]) -> BatchStanding:
    """Return how the essays of a batch stand; `row` holds the letters of all of them."""
    letters: str = row["letters"] or ""
    return BatchStanding(row, letters, has_spellchecks=has_spellchecks(letters))


def standing_among(row: Mapping[str, Any]) -> BatchStanding:
    """Return how a batch's essays stand where `row` holds the letter of one, and whether any was checked."""
    return BatchStanding(row, row["letter"], has_spellchecks=bool(row["has_spellchecks"]))


def counted(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch's row with what follows from its facts."""
    standing = standing_of(row)
    ids: str = row["essay_ids"] or ""
    tally = standing.tally(ids)
    total, completed, failed = tally.counts
    return {
        **row,
        "tally": tally,
        "total": total,
        "completed": completed,
        "failed": failed,
        "spellchecked": standing.spellchecked,
        "required": standing.required,
        "essays": standing.essays(ids, row["objects"] or ""),
    }
