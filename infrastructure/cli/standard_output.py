"""Standard output that reports when it cannot be written.

Anyone who reads our output may leave (`ras history b1 | head`) or have no room (a full disk). The libraries that
print each have a way of their own with that: one ends the process with 1, one with 0, one lets it through.
So the failure is caught below them all, where bytes leave the process, and becomes an error that they do not know.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from infrastructure.errors import OperatorError
from infrastructure.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_WIDE_ENOUGH: Final = 100_000


class ReaderGoneError(OperatorError):
    """Nobody reads our output any more: the rest of it, and of the work for it, can be left."""

    exit_code = 0


class OutputFailedError(OperatorError):
    """What was to be printed could not be written: a disk is full, or a device is gone."""


def watch_output() -> None:
    """Put the stream below `sys.stdout` that raises ReaderGoneError and OutputFailedError.

    A stream that is not the process's own, or that is closed, stays as it is.
    """
    _fill_gaps()
    given = sys.stdout
    if given is None or given is not sys.__stdout__ or not isinstance(given, io.TextIOWrapper):
        return
    given.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(given.fileno(), "w", closefd=False)),
        encoding=given.encoding,
        errors="backslashreplace",  # an encoding that lacks a character of an id does not end a command
        line_buffering=given.line_buffering,
        write_through=given.write_through,
    )


def _fill_gaps() -> None:
    """Open what the caller has closed (`>&-`): the next file opened, perhaps a socket, would be standard output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def finish_output() -> None:
    """Write what is still in the buffer. Raises OutputFailedError; a reader who has left misses nothing here."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except ReaderGoneError:
        return


class _Descriptor(io.FileIO):
    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            # What is left in the buffers above goes nowhere from here on, so that closing them is no second failure.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno == errno.EPIPE:
                raise ReaderGoneError("") from None
            raise OutputFailedError(f"Standard output cannot be written: {error.strerror}.") from None


def console() -> Console:
    """Return standard output as wide as the terminal; into a pipe or a file nothing is cut or wrapped.

    What it prints is escaped (`visible`): give it texts and tables of texts.
    """
    from rich.console import Console  # heavy: `ras --help` prints without it

    class Visible(Console):
        """Escapes every text that it is given, in tables too: whatever is printed comes through `render_str`."""

        def render_str(self, text: str, **form: Any) -> Text:
            # What the output cannot encode is escaped before the width of its column is known.
            shown = visible(text).encode(self.encoding, "backslashreplace").decode(self.encoding)
            return super().render_str(shown, **form)

    on_terminal = Visible(highlight=False, markup=False, emoji=False)
    if on_terminal.is_terminal:
        return on_terminal
    return Visible(highlight=False, markup=False, emoji=False, width=_WIDE_ENOUGH, soft_wrap=True)


def say(line: str, *, err: bool = False) -> None:
    """Print one line to standard output, or to standard error."""
    from typer import echo

    echo(visible(line), err=err)
