"""Addresses to listen at that cannot be had: a sentence and an exit code, before anything else happens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.processes import free_port
from infrastructure.roles.sockets import PortTakenError, base_url, close, listening
from infrastructure.settings import SettingsError
from tests.support.commands import Ran, ras

_NOT_OURS = "192.0.2.7"  # RFC 5737: for documentation, nobody's
_SETTING = "RAS_API_PORT"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 at which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_address_is_bound_and_answers_at_once() -> None:
    sockets = listening("127.0.0.1", 0, port_setting=_SETTING)

    with socket.create_connection(sockets[0].getsockname(), timeout=10):
        close(sockets)


def test_a_port_of_a_server_just_stopped_is_free() -> None:
    first = listening("127.0.0.1", 0, port_setting=_SETTING)
    port = first[0].getsockname()[1]
    caller = socket.create_connection(("127.0.0.1", port), timeout=10)
    answering, _ = first[0].accept()
    answering.close()  # who closes first keeps the port in TIME_WAIT
    close(first)

    close(listening("127.0.0.1", port, port_setting=_SETTING))
    caller.close()


def test_a_name_is_bound_at_all_its_addresses_under_one_port() -> None:
    sockets = listening("localhost", 0, port_setting=_SETTING)

    assert len({each.getsockname()[1] for each in sockets}) == 1
    close(sockets)


def test_two_colons_stand_for_every_address_of_both_kinds() -> None:
    try:
        sockets = listening("::", 0, port_setting=_SETTING)
        port = sockets[0].getsockname()[1]
        socket.create_connection(("::1", port), timeout=10).close()
    except (OSError, SettingsError):
        pytest.skip("this machine has no IPv6")

    socket.create_connection(("127.0.0.1", port), timeout=10).close()
    close(sockets)


def test_a_taken_port_is_named_with_its_setting(taken: int) -> None:
    with pytest.raises(PortTakenError, match=f"Port {taken} of 127.0.0.1 is taken .* RAS_API_PORT"):
        listening("127.0.0.1", taken, port_setting=_SETTING)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (_NOT_OURS, "is no address of this machine"),
        ("nowhere.invalid", "nobody knows the address"),
        ("host name", "nobody knows the address"),
        ("a..b", "nobody knows the address"),
        ("x" * 300, "nobody knows the address"),
    ],
)
def test_an_address_that_is_not_to_be_had_is_a_setting_that_makes_no_sense(host: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"^RAS_API_HOST: .*{words}"):
        listening(host, 0, port_setting=_SETTING)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4003"),
        ("localhost", "http://localhost:4003"),
        ("0.0.0.0", "http://127.0.0.1:4003"),
        ("::", "http://[::1]:4003"),
        ("::1", "http://[::1]:4003"),
    ],
)
def test_a_caller_on_this_machine_is_told_an_address_it_can_reach(host: str, url: str) -> None:
    assert base_url(host, 4003) == url


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("serve", "RAS_API_PORT"),
        ("serve-assessments", "RAS_ASSESSMENTS_PORT"),
        ("ingest", "RAS_HEALTH_PORT"),
        ("publish", "RAS_HEALTH_PORT"),
        ("project", "RAS_HEALTH_PORT"),
    ],
)
def test_a_role_whose_port_is_taken_says_so(taken: int, role: str, variable: str) -> None:
    _refused(_start(role, **{variable: str(taken)}), 1, f"Port {taken} of 127.0.0.1 is taken", variable)


@pytest.mark.parametrize("role", ["serve", "project"])
def test_a_role_at_an_address_of_another_machine_says_so(role: str) -> None:
    _refused(_start(role, RAS_API_HOST=_NOT_OURS, RAS_HEALTH_PORT="0"), 2, f"RAS_API_HOST: {_NOT_OURS} is no")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen at every port")
def test_a_port_that_this_user_may_not_have_is_named() -> None:
    _refused(_start("serve", RAS_API_PORT="1"), 2, "RAS_API_PORT: this user may not listen at port 1")


def test_up_asks_for_its_ports_before_it_starts_a_server(taken: int, tmp_path: Path) -> None:
    home = tmp_path / "home"

    _refused(_start("up", RAS_ASSESSMENTS_PORT=str(taken), RAS_HOME=str(home)), 1, "RAS_ASSESSMENTS_PORT")
    assert not home.exists()


def test_up_has_two_apis_and_wants_two_ports(tmp_path: Path) -> None:
    port = str(free_port())

    ended = _start("up", RAS_API_PORT=port, RAS_ASSESSMENTS_PORT=port, RAS_HOME=str(tmp_path / "home"))

    _refused(ended, 2, f"RAS_API_PORT and RAS_ASSESSMENTS_PORT are both {port}.")


def _start(role: str, **settings: str) -> Ran:
    somewhere = {
        "database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/ras",
        "RAS_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "RAS_INTERNAL_API_KEY": "a-key-for-tests",
        "RAS_API_PORT": "0",
        "RAS_ASSESSMENTS_PORT": "0",
    }
    return ras(role, **{**somewhere, **settings})


def _refused(ended: Ran, exit_code: int, *words: str) -> None:
    lines = [line for line in ended.errors.splitlines() if line != "Starting …"]
    assert (ended.exit_code, ended.output, len(lines)) == (exit_code, "", 1), ended.errors
    assert lines[0].startswith("ras: ")
    for each in words:
        assert each in lines[0]
