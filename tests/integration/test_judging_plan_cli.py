"""`ras judging-plan`: a plan from files, in the columns of another tool, and how far each judge is."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infrastructure.cli.app import app


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """Return a file of twelve texts."""
    path = tmp_path / "items.csv"
    path.write_text("item\n" + "".join(f"essay-{k:02d}.docx\n" for k in range(12)), encoding="utf-8")
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["judging-plan", *map(str, arguments)])


def test_a_plan_is_written_and_its_progress_shown(items: Path, tmp_path: Path) -> None:
    judges = tmp_path / "judges.csv"
    judges.write_text("judge;limit\nÅsa;4\nteacher-0007;\nteacher-0008;\n", encoding="utf-8")
    plan = tmp_path / "plan.csv"
    written = _run(items, "--judges", judges, "--per-item", 4, "-o", plan)
    assert written.exit_code == 0, written.output
    assert "24 comparisons of 12 texts, 4 to 10 for each of 3 judges" in written.output
    rows = list(csv.DictReader(plan.read_text(encoding="utf-8").splitlines()))
    assert Counter(row["judge"] for row in rows) == {"Åsa": 4, "teacher-0007": 10, "teacher-0008": 10}

    decisions = tmp_path / "decisions.csv"
    decided = [(row["judge"], row["second"], row["first"]) for row in rows[:4]]
    decided.append(("teacher-0007", "essay-00.docx", "essay-00.docx"))
    decisions.write_text(
        "judge,chosen,not_chosen\n" + "".join(",".join(row) + "\n" for row in decided), encoding="utf-8"
    )
    shown = _run(plan, "--progress", decisions)
    assert shown.exit_code == 0, shown.output
    assert "4 of 24 planned comparisons are decided, 20 are left." in shown.output
    assert "100%" in shown.output


def test_a_plan_has_the_columns_of_another_tool_in_their_order(items: Path) -> None:
    result = _run(
        items, "--judges", "A,B", "--per-item", 2, "--columns", "left=first,right=second,assessor=judge"
    )
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "left,right,assessor"
    assert len(result.output.splitlines()) == 13


def test_progress_reads_a_plan_in_the_columns_of_another_tool(tmp_path: Path) -> None:
    """Also one whose names were made safe for spreadsheets, as they are by default."""
    items, plan, decisions = tmp_path / "items.csv", tmp_path / "plan.csv", tmp_path / "decisions.csv"
    items.write_text("item\n=essay-1\n+essay-2\nessay-3\n", encoding="utf-8")
    columns = ("--columns", "Assessor=judge,left=first,right=second")
    written = _run(items, "--judges", "teacher-0007", "--per-item", 2, *columns, "-o", plan)
    assert f"ras judging-plan {plan} --progress DECISIONS.csv {' '.join(columns)}" in written.output
    assert "'=essay-1" in plan.read_text(encoding="utf-8")
    decisions.write_text(
        "judge,chosen,not_chosen\nteacher-0007,=essay-1,+essay-2\nteacher-0007,=essay-1,+essay-2\n",
        encoding="utf-8",
    )
    shown = _run(plan, "--progress", decisions, *columns)
    assert "1 of 3 planned comparisons are decided, 2 are left." in shown.output
    assert "1 decision is outside the plan: the judge was not to judge this pair" in shown.output
    refused = _run(plan, "--progress", decisions)
    assert "needs the --columns it was written with" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--judges", "A", "--per-item", "12"), "not 12 times. --per-item sets the number."),
        (("--judges", "A,A"), "given twice"),
        (("--judges", "A", "--per-judge", "3"), "may make 3"),
        (("--judges", "A", "--columns", "x=y"), "not NAME=COLUMN"),
        ((), "name the judges"),
    ],
)
def test_an_impossible_plan_is_refused_in_one_sentence(
    items: Path, arguments: tuple[str, ...], reason: str
) -> None:
    result = _run(items, *arguments)
    assert result.exit_code != 0
    assert reason in (result.output + str(result.exception))
