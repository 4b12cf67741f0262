"""Stream files of `ras replay`: what is wrong in one is said in words, and nothing is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.cli.failures import CommandError
from infrastructure.cli.stream_file import read_stream
from tests.support.commands import ras

_GOOD = '{"topic": "a", "key": "k", "headers": {"h": 1}, "value": {"n": 18446744073709551616}}\n'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1]", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ('{"topic": "a", "value": null}', '"key" is missing'),
        ('{"topic": "a", "key": null}', '"value" is missing'),
        ('{"key": null, "value": null}', '"topic" is missing'),
        ('{"topic": 7, "key": null, "value": null}', '"topic" is not a name'),
        ('{"topic": "", "key": null, "value": null}', '"topic" is not a name'),
        ('{"topic": "a", "key": null, "value": null, "headers": [1]}', '"headers" is not a JSON object'),
        ('{"topic": "a", "key": null, "value": {"raw": "A"}}', '"value" is neither {"raw": BASE64}'),
        ('{"topic": "a", "key": null, "value": {"raw": 7}}', '"value" is neither {"raw": BASE64}'),
        ('{"topic": "a", "key": null, "value": {"raw_repeat": {}}}', '"value" is neither {"raw": BASE64}'),
        ('{"topic": "a", "key"', "it is not JSON: "),
    ],
)
def test_a_line_that_is_no_message_is_named_in_words(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "stream.jsonl"
    file.write_text(f"{_GOOD}\n{line}\n")

    with pytest.raises(CommandError) as refused:
        read_stream(file)

    assert str(refused.value).startswith(f"{file}, line 3: {why}")
    assert str(refused.value).endswith("Nothing was sent.")
    assert "Error" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "holds no message"), (b"\n \n", "holds no message"), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_a_file_without_messages_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "stream.jsonl"
    file.write_bytes(content)

    with pytest.raises(CommandError, match=why):
        read_stream(file)


def test_what_was_recorded_is_read(tmp_path: Path) -> None:
    file = tmp_path / "stream.jsonl"
    file.write_text(_GOOD + '{"topic": "a", "key": null, "value": {"raw": "AP8="}}\n')

    first, second = read_stream(file)

    assert (first.key, first.value, first.headers) == (b"k", b'{"n":18446744073709551616}', [("h", b"1")])
    assert (first.size, second.key, second.value) == (len(first.value or b"") + 3, None, b"\x00\xff")


def test_a_wrong_file_is_named_before_anything_else(tmp_path: Path) -> None:
    missing = ras("replay", str(tmp_path / "none.jsonl"), database_url="", RAS_HOME=str(tmp_path))
    assert missing.exit_code == 1
    assert "none.jsonl cannot be read: No such file or directory" in missing.errors

    file = tmp_path / "stream.jsonl"
    file.write_text(_GOOD)
    nowhere = ras("replay", str(file), database_url="", RAS_HOME=str(tmp_path))
    assert nowhere.exit_code == 2
    assert "RAS_KAFKA_BOOTSTRAP_SERVERS is not set, and no `ras up` runs on the data in" in nowhere.errors
