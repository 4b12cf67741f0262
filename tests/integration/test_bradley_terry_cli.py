"""The `bradley-terry` command as a researcher meets it: files in, tables or JSON out, refusals in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from domain.bradley_terry import METHOD_VERSION
from infrastructure.cli.commands.explaining import bradley_terry
from infrastructure.cli.failures import exit_code_of

_ROOT = Path(__file__).parents[2]
_HEADER = "judge,chosen,not_chosen\n"
_FEW = _HEADER + "teacher-0001,a,b\nteacher-0001,b,c\nmodel-x,a,c\nmodel-x,c,a\n"

app = typer.Typer()
app.command("bradley-terry")(bradley_terry)


@app.callback()
def _group() -> None:
    """One command among others, as in `ras`."""


def _run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["bradley-terry", *map(str, arguments)], input=stdin)


def _refusal(result: Result) -> str:
    """Return the sentence that a person is told."""
    assert result.exception is not None
    code, sentence = exit_code_of(result.exception)
    assert (code, result.stdout) == (2, "")
    assert sentence is not None
    return sentence


def _file(folder: Path, text: str | bytes) -> Path:
    path = folder / "decisions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _json(folder: Path, text: str | bytes, *options: str) -> dict[str, Any]:
    result = _run(_file(folder, text), "--json", *options)
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    return answer


def test_json_has_the_promised_shape_first(tmp_path: Path) -> None:
    answer = _json(tmp_path, _FEW)
    assert list(answer)[:5] == ["items", "judges", "ssr", "separation_g", "components"]
    assert [list(item) for item in answer["items"]] == [
        ["item", "theta", "se", "infit", "outfit", "comparisons", "wins"]
    ] * 3
    assert [item["item"] for item in answer["items"]] == ["a", "b", "c"]
    assert [list(judge) for judge in answer["judges"]] == [["judge", "decisions", "infit", "outfit"]] * 2
    assert answer["components"] == [["a", "b", "c"]]
    assert answer["warnings"][0].startswith("SSR is negative")
    assert answer["warnings"][1:] == [
        "3 of 3 texts had fewer than 10 comparisons: such places may well change with more decisions."
    ]
    assert answer["notes"][0].startswith("Forward test: cannot tell.")


def test_items_are_sorted_by_score_and_then_by_name(tmp_path: Path) -> None:
    answer = _json(tmp_path, _HEADER + "t,b,z\nt,a,z\nt,c,z\n")
    assert [item["item"] for item in answer["items"]] == ["a", "b", "c", "z"]


def test_standard_input_gives_the_same_bytes_as_the_file(tmp_path: Path) -> None:
    from_file = _run(_file(tmp_path, _FEW), "--json")
    assert _run("-", "--json", stdin=_FEW).stdout_bytes == from_file.stdout_bytes


def test_columns_are_found_by_name_and_others_ignored(tmp_path: Path) -> None:
    mixed = (
        "time,not_chosen,judge,chosen\n1,b,teacher-0001,a\n2,c,teacher-0001,b\n3,c,model-x,a\n4,a,model-x,c\n"
    )
    assert _json(tmp_path, mixed) == _json(tmp_path, _FEW)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + _FEW.encode(),
        _FEW.replace("\n", "\r\n"),
        _FEW.replace("\n", "\n\n  \n"),
        "\n\n" + _FEW.rstrip("\n"),
        _FEW.replace("c\n", "c,\n", 2),
    ],
    ids=["byte order mark", "CRLF", "blank lines", "no last line end", "empty cells beyond the header"],
)
def test_harmless_differences_of_the_file_do_not_matter(tmp_path: Path, text: str | bytes) -> None:
    assert _json(tmp_path, text) == _json(tmp_path, _FEW)


_SWEDISH = _FEW.replace("teacher-0001", "Åsa").replace("model-x", "Örjan")


@pytest.mark.parametrize(
    "raw",
    [
        _SWEDISH.replace(",", ";").encode(),
        _SWEDISH.replace(",", ";").encode("cp1252"),
        _SWEDISH.replace(",", "\t").encode("utf-16"),
        _SWEDISH.replace(",", ";").encode("utf-16-le"),
        _SWEDISH.replace(",", "|").encode("utf-16-be"),
        b"sep=;\r\n" + _SWEDISH.replace(",", ";").replace("\n", "\r\n").encode("utf-8"),
        _SWEDISH.replace("judge,chosen,not_chosen", "Assessor,Winner,Loser").encode(),
        _SWEDISH.replace("judge,chosen,not_chosen", "Bedömare,Vald,Ej vald")
        .replace(",", ";")
        .encode("cp1252"),
        _SWEDISH.replace("chosen\n", "chosen;poäng\n").replace(",", ";").replace("c\n", "c;1,5\n").encode(),
    ],
    ids=[
        "semicolons",
        "Windows-1252",
        "UTF-16",
        "UTF-16 LE",
        "UTF-16 BE",
        "sep=;",
        "winner",
        "Swedish",
        "decimals",
    ],
)
def test_what_other_programs_export_is_read_as_what_it_is(tmp_path: Path, raw: bytes) -> None:
    expected, found = _json(tmp_path, _SWEDISH), _json(tmp_path, raw)
    for member in ("items", "judges", "ssr"):
        assert found[member] == expected[member]
    printed = _run(_file(tmp_path, raw))
    assert "The file was read as " in printed.stdout


def test_separator_encoding_and_columns_can_be_given(tmp_path: Path) -> None:
    raw = "who~up~down\nÅsa~a~b\nÅsa~b~c\n".encode("cp850")
    options = ("--separator", "~", "--encoding", "cp850", "--columns", "who=judge,up=chosen,down=not_chosen")
    answer = _json(tmp_path, raw, *options)
    assert [judge["judge"] for judge in answer["judges"]] == ["Åsa"]
    path = _file(tmp_path, raw)
    assert "no column 'winner'" in _refusal(
        _run(path, "--separator", "~", "--encoding", "cp850", "--columns", "winner=chosen")
    )
    assert "is not NAME=COLUMN" in _refusal(_run(path, "--columns", "winner"))
    assert "not the name of an encoding" in _refusal(_run(path, "--encoding", "nonsense"))
    assert _run(path, "--separator", "ab").exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        "judge,chosen,not_chosen,shown_first,tied\nt,a,b,a,\nt,b,c,c,no\nt,c,a,c,yes\n",
        "judge,left,right,winner\nt,a,b,a\nt,c,b,right\nt,c,a,no difference\n",
        "judge;first;second;chosen\nt;a;b;first\nt;c;b;b\nt;c;a;tie\n",
    ],
)
def test_undecided_comparisons_and_the_text_shown_first_are_read(tmp_path: Path, text: str) -> None:
    answer = _json(tmp_path, text)
    assert {item["item"]: item["wins"] for item in answer["items"]} == {"a": 1.5, "b": 1, "c": 0.5}
    assert answer["findings"]["ties"]["ties"] == 1
    assert answer["findings"]["position"]["first"]["hits"] == 1
    assert answer["findings"]["position"]["first"]["n"] == 2


def test_tables_as_csv_are_safe_to_open_and_raw_on_demand(tmp_path: Path) -> None:
    path = _file(tmp_path, _HEADER + "t,=1+1,-b\nt,-b,@c\nt,'=x,@c\n")
    guarded = _run(path, "--csv", "items").stdout_bytes
    assert {line.split(b",")[2] for line in guarded.splitlines()[1:]} == {b"'=1+1", b"'-b", b"'@c", b"''=x"}
    raw = _run(path, "--csv", "items", "--raw", "--bom").stdout_bytes
    assert raw.startswith(b"\xef\xbb\xbfcomponent,rank,item,")
    assert {line.split(b",")[2] for line in raw.splitlines()[1:]} == {b"=1+1", b"-b", b"@c", b"'=x"}
    assert _run(path, "--csv", "next-pairs").stdout.startswith("first,second,reason,expected_reduction")
    assert _run(path, "--raw").exit_code == 2


@pytest.mark.parametrize(
    ("locale", "order"),
    [
        ("sv", ["Adam", "Zoe", "Åke", "Älva", "Östen"]),
        ("sv_SE.UTF-8", ["Adam", "Zoe", "Åke", "Älva", "Östen"]),
        ("en", ["Adam", "Åke", "Älva", "Östen", "Zoe"]),
    ],
)
def test_judges_are_sorted_by_the_language_of_the_reader(
    tmp_path: Path, locale: str, order: list[str]
) -> None:
    names = ["Östen", "Zoe", "Älva", "Adam", "Åke"]
    path = _file(tmp_path, _HEADER + "".join(f"{name},a,b\n" for name in names))
    lines = _run(path, "--csv", "judges", "--locale", locale).stdout.splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == order


def test_names_are_text_and_never_values(tmp_path: Path) -> None:
    answer = _json(
        tmp_path,
        _HEADER + 'NA,007,7\nNA,N/A,NaN\n1e3,7, 7\nnull,"a, ""b""",7.0\n1000,"two\nlines",[bold]å[/bold]\n',
    )
    assert {item["item"] for item in answer["items"]} == {
        *("007", "7", "N/A", "NaN", " 7", 'a, "b"', "7.0", "two\nlines", "[bold]å[/bold]")
    }
    assert {judge["judge"] for judge in answer["judges"]} == {"NA", "1e3", "null", "1000"}


def test_an_item_against_itself_is_counted_with_a_warning(tmp_path: Path) -> None:
    answer = _json(tmp_path, _FEW + "model-x,a,a\n")
    assert answer["items"][0]["comparisons"] == 5
    assert answer["items"][0]["wins"] == 3
    assert any("1 decision compares a text with itself (a)" in warning for warning in answer["warnings"])


def test_what_is_undefined_is_null(tmp_path: Path) -> None:
    answer = _json(tmp_path, _HEADER + "t,a,b\nt,x,y\nt,z,z\n", "--quality")
    assert (answer["ssr"], answer["separation_g"]) == (None, None)
    assert answer["components"] == [["a", "b"], ["x", "y"], ["z"]]
    assert [part["items"] for part in answer["component_reliability"]] == [2, 2, 1]
    assert answer["component_reliability"][2]["ssr"] is None
    assert answer["quality"]["agreement"]["overall"]["rate"] is None
    assert answer["quality"]["next_pairs"][0] == {
        "first": "a",
        "second": "x",
        "expected_reduction": None,
        "reason": "joins_groups",
    }


def test_the_table_is_whole_when_it_goes_into_a_pipe(tmp_path: Path) -> None:
    long_name = "essay-" + "x" * 300 + ".docx"
    result = _run(_file(tmp_path, _FEW.replace("a", long_name).replace("te" + long_name, "tea")))
    assert result.exit_code == 0
    assert result.stderr == ""
    assert long_name in result.stdout
    for word in ("theta", "infit", "comparisons", "Judges", "SSR", "73 %"):
        assert word in result.stdout


def test_a_name_cannot_drive_the_terminal_or_style_the_table(tmp_path: Path) -> None:
    result = _run(_file(tmp_path, _HEADER + "t,\x1b[31mred,[bold]loud[/bold]\nt,:smile:,\x1b[31mred\n"))
    assert "\x1b" not in result.stdout
    assert "\\x1b[31mred" in result.stdout
    assert "[bold]loud[/bold]" in result.stdout
    assert ":smile:" in result.stdout


def test_groups_without_a_link_get_tables_of_their_own(tmp_path: Path) -> None:
    result = _run(_file(tmp_path, _HEADER + "t,a,b\nt,x,y\n"))
    assert "Items of group 1 of 2" in result.stdout
    assert "Items of group 2 of 2" in result.stdout
    assert "no ranking across groups" in result.stdout


def test_quality_adds_its_tables(tmp_path: Path) -> None:
    result = _run(_file(tmp_path, _FEW + "model-x,a,b\n"), "--quality")
    assert result.exit_code == 0
    for title in ("Split-half", "as it grew", "Agreement on shared pairs", "Misfits", "judge next"):
        assert title in result.stdout


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        (_HEADER, "there are no decisions below the header"),
        (
            "judge,picked,loser\nt,a,b\n",
            "line 1: the header has no column chosen; it needs the columns judge, chosen and not_chosen. Found: judge, picked, loser (read as UTF-8, separated by commas)",
        ),
        (
            "judge;picked;loser\nt;a;b\n",
            "Found: judge, picked, loser (read as UTF-8, separated by semicolons)",
        ),
        (
            _HEADER.strip() + ",tied\nt,a,b,perhaps\n",
            "line 2: the column for undecided comparisons is 'perhaps'",
        ),
        (_HEADER.strip() + ",shown_first\nt,a,b,c\n", "line 2: shown_first is 'c'"),
        ("judge,first,second,chosen\nt,a,b,c\n", "line 2: chosen is 'c'"),
        (
            "judge,chosen,chosen,not_chosen\nt,a,a,b\n",
            "line 1: the header has the column chosen more than once",
        ),
        ("t,a,b\nt,b,a\n", "line 1: the header has no column judge"),
        (_FEW + "\nteacher-0001,a\n", "line 7: not_chosen is missing (2 of 3 cells)"),
        (_FEW + "teacher-0001,,b\n", "line 6: chosen is empty"),
        (_FEW + "  ,a,b\n", "line 6: judge is empty"),
        (_FEW + "t,essay, one,b\n", "line 6: there are 4 cells, but the header has 3"),
        (_FEW + 't,"a,b\n', "line 6: not CSV"),
        (b"PK\x03\x04" + _FEW.encode(), "a spreadsheet's own format (or a ZIP file). Save it there as CSV."),
        (b"\xd0\xcf\x11\xe0\xa1\xb1" + bytes(80), "a spreadsheet's own format"),
        (_FEW.encode() + b"t,\x81,b\n", "line 6: the text is neither UTF-8 nor Windows-1252"),
    ],
)
def test_bad_input_is_refused_in_one_sentence_with_its_place(
    tmp_path: Path, text: str | bytes, complaint: str
) -> None:
    path = _file(tmp_path, text)
    sentence = _refusal(_run(path, "--json"))
    assert "\n" not in sentence
    assert str(path) in sentence
    assert complaint in sentence


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        assert f"{path}: cannot be read" in _refusal(_run(path))


def test_a_fault_on_standard_input_names_it() -> None:
    sentence = _refusal(_run("-", stdin=b"judge,chosen\n"))
    assert "standard input, line 1: the header has no column not_chosen" in sentence


def test_no_argument_and_an_unknown_option_are_usage_errors() -> None:
    assert _run().exit_code == 2
    assert _run("--xml", "x.csv").exit_code == 2


def test_two_processes_write_the_same_bytes_whatever_the_encoding_of_the_terminal(tmp_path: Path) -> None:
    generator = np.random.RandomState(1)
    rows = [generator.choice(30, 2, replace=False) for _ in range(500)]
    path = _file(tmp_path, _HEADER + "".join(f"lärare,uppsats-{a:02d}å,uppsats-{b:02d}å\n" for a, b in rows))
    program = "import typer; from infrastructure.cli.commands.explaining import bradley_terry; typer.run(bradley_terry)"

    def written(encoding: str, *options: str) -> bytes:
        return subprocess.run(
            [sys.executable, "-c", program, str(path), *options],
            cwd=_ROOT,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
        ).stdout

    answer = written("utf-8", "--json", "--quality")
    assert written("ascii", "--json", "--quality") == answer
    assert "uppsats-00å" in answer.decode()
    assert rb"uppsats-00\xe5" in written("ascii")


def test_what_if_shows_the_scores_without_a_judge_beside_those_of_all() -> None:
    path = _ROOT / "tests" / "judging" / "contrary.csv"
    answer = json.loads(_run(path, "--json", "--without-judge", "E").stdout)
    assert [judge["judge"] for judge in answer["judges"]] == ["A", "B", "C", "D"]
    what_if = answer["what_if"]
    assert (what_if["decisions_before"], what_if["decisions_after"]) == (200, 160)
    assert what_if["ssr_after"] > what_if["ssr_before"]
    assert 0.5 < what_if["correlation"] < 1
    moved = [abs(item["moved"]) for item in what_if["items"]]
    assert moved == sorted(moved, reverse=True)
    printed = _run(path, "--without-judge", "E")
    assert "What if: 160 decisions instead of 200" in printed.stdout


def test_what_if_can_leave_out_texts_take_a_stretch_and_another_epsilon(tmp_path: Path) -> None:
    path = _file(tmp_path, _FEW)
    answer = json.loads(_run(path, "--json", "--without-item", "c").stdout)
    assert [item["item"] for item in answer["items"]] == ["a", "b"]
    gone = next(item for item in answer["what_if"]["items"] if item["item"] == "c")
    assert (gone["theta_after"], gone["rank_after"], gone["moved"]) == (None, None, None)
    answer = json.loads(_run(path, "--json", "--first", "2", "--last", "3").stdout)
    assert answer["decisions"] == 2
    answer = json.loads(_run(path, "--json", "--epsilon", "0.1").stdout)
    assert answer["method_version"] == METHOD_VERSION.replace("eps0.3", "eps0.1")
    assert "what_if" not in json.loads(_run(path, "--json").stdout)
    assert "there is no judge 'nobody'; there are model-x, teacher-0001" in _refusal(
        _run(path, "--without-judge", "nobody")
    )
    assert "no decision is left" in _refusal(_run(path, "--first", "9"))


def test_scores_on_a_scale_and_grades_from_anchors(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    rows = [("b", "a"), ("c", "b"), ("d", "c"), ("a", "b"), ("c", "a"), ("d", "b"), ("c", "d"), ("d", "a")]
    path.write_text(
        "judge,chosen,not_chosen\n" + "".join(f"t,{one},{other}\n" for one, other in rows), encoding="utf-8"
    )
    anchors = tmp_path / "anchors.csv"
    anchors.write_text("item;grade\na;E\nd;C\n", encoding="utf-8")
    options = ("--scale", "0-100", "--anchors", anchors, "--standard", "c")
    found = json.loads(_run(path, "--json", *map(str, options)).stdout)["scaled"]
    scaled = {item["item"]: item for item in found["items"]}
    assert (min(i["scaled"] for i in scaled.values()), max(i["scaled"] for i in scaled.values())) == (0, 100)
    [boundary] = found["boundaries"]
    assert (boundary["below"], boundary["above"]) == ("E", "C")
    assert (scaled["a"]["grade"], scaled["d"]["grade"]) == ("E", "C")
    assert (scaled["c"]["meets_standard"], scaled["a"]["meets_standard"]) == (True, False)
    table = _run(path, "--csv", "scaled", *map(str, options)).stdout
    assert table.startswith("item,theta,scaled,scaled_se,true_score,grade,meets_standard")
    refused = _run(path, "--scale", "big")
    assert refused.exit_code != 0
