"""Progress of the demonstration on standard error: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from infrastructure.demo.gauge import Stages


class _RateColumn(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", justify="right")


class Display:
    """Says what happens and, on a terminal, shows how far it is. Use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console: Final = console or Console(stderr=True, highlight=False)
        self._bars: Final = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._messages = 0
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, sentence: str) -> None:
        """Print a line."""
        self._bars.console.print(sentence)

    def expect(self, messages: int) -> None:
        """Begin to show a stream of so many messages."""
        self._messages = messages
        for name, total in (
            ("sent", messages),
            ("ingested", messages),
            ("published", None),
            ("projected", None),
        ):
            self._tasks[name] = self._bars.add_task(name, total=total)

    def show(self, stages: Stages) -> None:
        """Show how far the stream has come. What comes out is measured against what is due so far."""
        for name, completed, total in (
            ("sent", stages.sent, self._messages),
            ("ingested", stages.taken_in, self._messages),
            ("published", stages.heard, stages.due),
            ("projected", stages.projected, stages.head),
        ):
            if name in self._tasks and total:
                self._bars.update(self._tasks[name], completed=completed, total=total)
