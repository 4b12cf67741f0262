"""Progress of long work: shown with rate and time left on a terminal, nothing of it elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from infrastructure.cli import check, rebuild
from infrastructure.cli.letters import bar
from infrastructure.cli.progress import ProgressBars


def shown(*, terminal: bool) -> str:
    """Return what half of some work shows."""
    written = io.StringIO()
    clock = iter(range(1000))
    console = Console(file=written, force_terminal=terminal, width=80, color_system=None)
    with ProgressBars(console=console, auto_refresh=False, get_time=lambda: float(next(clock))) as bars:
        task = bars.add_task("dead letters", total=1000)
        for done in (100, 300, 500):
            bars.update(task, completed=done)
        bars.refresh()
        assert bars.live.is_started is terminal
    return written.getvalue()


def test_a_terminal_shows_how_far_how_fast_and_how_long_still() -> None:
    text = shown(terminal=True)

    assert "dead letters" in text
    assert "500/1000" in text
    assert "/s" in text
    [_, left] = text.split("/s", 1)
    assert "00:" in left


def test_in_a_pipe_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(terminal=False) == ""
    with bar("dead letters", 10) as tell:
        tell(5)
    assert capsys.readouterr() == ("", "")


def test_every_long_command_shows_the_same_bars() -> None:
    assert issubclass(rebuild._Bar, ProgressBars)
    assert check.ProgressBars is ProgressBars  # type: ignore[attr-defined]
