"""The note of a running `ras up`: true as long as its writer lives, whatever becomes of the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infrastructure.local.running_note import Running, kafka_to_send_to, noted, running, servers_to_look_at
from infrastructure.settings import Servers, Settings, SettingsError

_SERVERS = Servers("postgresql://127.0.0.1:1/ras", "127.0.0.1:2")


def settings(home: Path, **given: str) -> Settings:
    """Return settings that know the folder, and what is `given`."""
    unset = {"database_url": None, "kafka_bootstrap_servers": None}
    return Settings.model_validate({**unset, "home": home, **given})


def test_it_is_found_while_its_writer_lives(tmp_path: Path) -> None:
    with noted(tmp_path, _SERVERS, embedded_kafka=True):
        assert running(tmp_path) == Running(_SERVERS, embedded_kafka=True)
        assert servers_to_look_at(settings(tmp_path)) == _SERVERS
        address, up = kafka_to_send_to(settings(tmp_path))
        assert (address, up) == (_SERVERS.bootstrap_servers, running(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_another_kafka_is_not_that_of_ras_up(tmp_path: Path) -> None:
    with noted(tmp_path, _SERVERS, embedded_kafka=True):
        assert kafka_to_send_to(settings(tmp_path, kafka_bootstrap_servers="127.0.0.1:9")) == (
            "127.0.0.1:9",
            None,
        )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"pid": "x"}',
        json.dumps({"pid": os.getpid(), "database_url": 7, "kafka": "", "embedded_kafka": True}),
        # Left behind by a process that was killed; its id is a living process's by now.
        json.dumps(
            {"pid": os.getpid(), "database_url": "postgresql://x", "kafka": "x:1", "embedded_kafka": True}
        ),
    ],
    ids=[
        "empty",
        "a list",
        "an empty object",
        "a text for a number",
        "a number for a text",
        "of another process",
    ],
)
def test_what_is_left_of_a_note_or_is_none_tells_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "running.json").write_text(content)

    assert running(tmp_path) is None
    with pytest.raises(SettingsError, match="no `ras up` runs on the data in"):
        servers_to_look_at(settings(tmp_path))
    with pytest.raises(SettingsError, match="RAS_KAFKA_BOOTSTRAP_SERVERS is not set"):
        kafka_to_send_to(settings(tmp_path))
