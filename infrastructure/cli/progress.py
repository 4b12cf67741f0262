"""Progress of long work on a terminal: how far, how fast, how long still. A pipe gets none of it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


class ProgressBars(Progress):
    """Bars on standard error, where that is a terminal; gone at the end. Use as a context manager."""

    def __init__(self, *, disable: bool = False, console: Console | None = None, **more: Any) -> None:
        shown_on = console or Console(stderr=True)
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=shown_on,
            disable=disable or not shown_on.is_terminal,
            transient=True,
            expand=True,
            **more,
        )
