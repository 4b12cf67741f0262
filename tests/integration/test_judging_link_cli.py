"""`ras judging-link` and `ras bradley-terry --anchor-values`: two sessions on one scale, from files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner, Result

from infrastructure.cli.app import app
from infrastructure.cli.failures import exit_code_of


def _session(path: Path, texts: range, seed: int) -> Path:
    """Write a session in which the text with the higher number is usually chosen."""
    chance = Random(seed)
    rows = []
    for number in range(40 * len(texts)):
        one, other = chance.sample(texts, 2)
        higher, lower = max(one, other), min(one, other)
        is_usual = chance.random() < 1 - 0.5 / (higher - lower + 1)
        chosen, not_chosen = (higher, lower) if is_usual else (lower, higher)
        rows.append(f"teacher-{number % 5:04},essay-{chosen:02},essay-{not_chosen:02}")
    path.write_text("judge,chosen,not_chosen\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a session of twelve texts."""
    return _session(tmp_path / "base.csv", range(12), 1)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return a session of twelve texts, of which six are those of the base."""
    return _session(tmp_path / "other.csv", range(6, 18), 2)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def _refusal(result: Result) -> tuple[int, str]:
    assert result.exception is not None
    code, sentence = exit_code_of(result.exception)
    return code, sentence or ""


def test_two_sessions_are_put_on_one_scale(base: Path, other: Path) -> None:
    shown = _run("judging-link", base, other)
    assert shown.exit_code == 0, shown.output
    assert "6 common texts" in shown.output
    assert "Linking error" in shown.output

    found = json.loads(_run("judging-link", base, other, "--json").output)
    assert found["shift"] > 0  # the other session has the better texts
    assert found["items"][0]["item"] == "essay-17"

    rows = list(csv.DictReader(_run("judging-link", base, other, "--csv").output.splitlines()))
    assert {row["item"] for row in rows} == {f"essay-{k:02}" for k in range(6, 18)}
    assert [row["is_common"] for row in rows if row["item"] == "essay-06"] == ["true"]


def test_a_common_text_can_be_left_out_of_the_link(base: Path, other: Path) -> None:
    found = json.loads(_run("judging-link", base, other, "--without", "essay-07", "--json").output)

    assert "essay-07" not in {text["item"] for text in found["common"]}
    assert "essay-07" in {text["item"] for text in found["items"]}


def test_sessions_that_cannot_be_linked_are_refused_in_a_sentence(
    base: Path, other: Path, tmp_path: Path
) -> None:
    strange = _session(tmp_path / "strange.csv", range(30, 36), 3)
    code, sentence = _refusal(_run("judging-link", base, strange))
    assert code == 2
    assert "have no text in common" in sentence

    code, sentence = _refusal(_run("judging-link", base, other, "--without", "essay-00"))
    assert code == 2
    assert "'essay-00' is not in both sessions" in sentence


def test_anchors_keep_their_values_and_the_others_follow(base: Path, tmp_path: Path) -> None:
    anchors = tmp_path / "anchors.csv"
    anchors.write_text("item;value\nessay-02;4,5\nessay-09;6\n", encoding="utf-8")

    shown = _run("bradley-terry", base, "--anchor-values", anchors)
    assert shown.exit_code == 0, shown.output
    assert "On the scale of the fixed anchors" in shown.output

    result = _run("bradley-terry", base, "--anchor-values", anchors, "--csv", "anchored")
    found = {row["item"]: row for row in csv.DictReader(result.output.splitlines())}
    assert float(found["essay-02"]["theta"]) == 4.5
    assert found["essay-02"]["se"] == ""
    assert float(found["essay-11"]["theta"]) > float(found["essay-00"]["theta"])
    body = json.loads(_run("bradley-terry", base, "--anchor-values", anchors, "--json").output)
    assert len(body["anchored"]) == 12


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("item,value\nnobody,1\n", "'nobody' is not among the texts"),
        ("item,value\nessay-02,high\n", "value is 'high', which is not a number"),
        ("item,value\nessay-02,1\nessay-02,2\n", "an anchor is there twice"),
        ("item,grade\nessay-02,A\n", "the column value is missing"),
    ],
)
def test_anchors_that_cannot_be_used_are_refused_in_a_sentence(
    base: Path, tmp_path: Path, content: str, sentence: str
) -> None:
    anchors = tmp_path / "anchors.csv"
    anchors.write_text(content, encoding="utf-8")

    code, said = _refusal(_run("bradley-terry", base, "--anchor-values", anchors))

    assert code == 2
    assert sentence in said
