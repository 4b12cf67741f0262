"""Shows wrong usage: first the right usage, then the error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from typer import Context, Typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError
from typer.main import get_command

from infrastructure.errors import OperatorError
from infrastructure.visible import visible


class UndecodableError(OperatorError):
    """An argument or a setting is not text: neither PostgreSQL, Kafka nor JSON could hold it."""

    exit_code = 2


def refuse_undecodable(words: Sequence[str]) -> None:
    """Raise UndecodableError if an argument or a setting has bytes that are not in the encoding of this machine."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("RAS_")}
    for place, text in (*(("An argument", word) for word in words), *settings.items()):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UndecodableError(
                f"{place} is not text in {sys.getfilesystemencoding()}: {text!r}."
            ) from None


def is_usage(error: BaseException) -> bool:
    """Whether the command line was not understood, or a command refused what it said."""
    return isinstance(error, ClickException)


def shown_usage(app: Typer, error: BaseException) -> tuple[int, str]:
    """Return the exit code of wrong usage and what to print for it. A group alone prints its help."""
    assert isinstance(error, ClickException)
    sentence = error.format_message()
    if isinstance(error, NoArgsIsHelpError):
        return error.exit_code, f"{sentence}\n"
    context = error.ctx if isinstance(error, UsageError) else None
    context = context or _context_of(app, sys.argv[1:])
    help_option = context.help_option_names[0]
    return error.exit_code, (
        f"{context.get_usage()}\nTry '{context.command_path} {help_option}' for help.\n\nras: {visible(sentence)}\n"
    )


def _context_of(app: Typer, words: list[str]) -> Context:
    """Return the context of the command that `words` name: the parser does not tell it with each of its errors."""
    command: Any = get_command(app)
    context = Context(command, info_name="ras", help_option_names=["-h", "--help"])
    for word in words:
        found = getattr(command, "commands", {}).get(word)
        if found is None:
            break
        command, context = found, Context(found, info_name=word, parent=context)
    return context
