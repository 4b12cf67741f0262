"""`ras dead-letters`: lists, shows and settles messages that could not be ingested."""

from __future__ import annotations

import base64
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from application.json_text import json_bytes
from application.queries import DeadLetterQueries, LetterFilter
from application.settle import (
    LARGEST_CORRECTION,
    RefusedCorrectionError,
    SettleDeadLetters,
    UnknownLetterError,
    UnreadableLetterError,
)
from domain.dead_letters import PARKED, LetterSettledError, LetterState, RetryOutcome
from infrastructure.cli.failures import CommandError
from infrastructure.cli.letters import ask, bar, confirm, opened_store, plain
from infrastructure.cli.standard_output import console, say
from infrastructure.cli.tables import print_rows
from infrastructure.input_files import read_input

_PAGE = 500
_SHOWN = ("position", "reason", "state", "received_at", "topic", "partition", "offset", "detail")


def list_letters(wanted: LetterFilter, *, limit: int, json_output: bool) -> None:
    """Print the newest `limit` letters of those `wanted`."""
    rows = ask(lambda queries: _letters(queries, wanted, limit))
    if json_output:
        typer.echo(json_bytes(rows))
        return
    if not rows:
        say("There are no such dead letters.")
        return
    cells = [[str(row[name]) for name in _SHOWN] for row in map(plain, rows)]
    print_rows(console(), ("id", *_SHOWN[1:]), cells, first=5)


def show_letter(letter_id: int, *, raw: bool, json_output: bool) -> None:
    """Print one letter with its bytes; `raw` prints nothing but the bytes."""
    row = ask(lambda queries: queries.letter(letter_id))
    if row is None:
        raise CommandError(f"There is no dead letter {letter_id}; `ras dead-letters list` shows the ids.")
    if raw:
        value = base64.b64decode(row["value"] or "")
        if sys.stdout.isatty() and not _is_text(value):
            raise CommandError(
                "The bytes of this letter would drive the terminal: send them into a file or a pipe. "
                "Without --raw they are shown with escapes."
            )
        typer.get_binary_stream("stdout").write(value)
        return
    if json_output:
        typer.echo(json_bytes(dict(row)))
        return
    for name, value in plain(row).items():
        shown = "-" if value is None else value
        if name in {"key", "value"} and value is not None:
            shown = base64.b64decode(value).decode("utf-8", "backslashreplace")
        say(f"{name:14} {shown}")


def _is_text(value: bytes) -> bool:
    """Whether a terminal shows these bytes as they are."""
    try:
        return all(map(str.isprintable, value.decode().split("\n")))
    except UnicodeDecodeError:
        return False


def retry_letters(ids: Sequence[int], wanted: LetterFilter, *, by: str, yes: bool, json_output: bool) -> None:
    """Take in the letters named, or those that fit where none is. Exit code 1 if one is refused again."""
    letters = _chosen(ids, wanted)
    if letters:
        confirm(f"Take {_count(letters)} in again?", yes=yes)

    def retry(settle: SettleDeadLetters, stream_id: str) -> tuple[str, str | None]:
        retried = settle.retry(stream_id, by=by)
        return retried.outcome.value, retried.detail

    _each(letters, retry, "retried", failing=RetryOutcome.REFUSED.value, json_output=json_output)


def discard_letters(
    ids: Sequence[int], wanted: LetterFilter, *, why: str, by: str, yes: bool, json_output: bool
) -> None:
    """Give up the letters named, or those that fit where none is."""
    letters = _chosen(ids, wanted)
    if letters:
        confirm(f"Discard {_count(letters)} for good?", yes=yes)

    def discard(settle: SettleDeadLetters, stream_id: str) -> tuple[str, str | None]:
        settle.discard(stream_id, by=by, why=why)
        return LetterState.DISCARDED.value, None

    _each(letters, discard, "discarded", failing=None, json_output=json_output)


def replace_letter(letter_id: int, file: str, *, why: str, by: str, yes: bool, json_output: bool) -> None:
    """Ingest the message in `file` in place of a letter's. Exit code 1 if it is refused too."""
    [letter] = _chosen([letter_id], LetterFilter())
    try:
        value = read_input(file, most=LARGEST_CORRECTION)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}.") from error
    confirm(f"Ingest {file} ({len(value):,} bytes) in place of dead letter {letter_id}?", yes=yes)
    with opened_store() as (store, reading):
        settle = SettleDeadLetters(store, **reading)
        try:
            outcome = settle.replace(letter["stream_id"], value, by=by, why=why)
        except RefusedCorrectionError as error:
            raise CommandError(
                f"The message in {file} is refused: {str(error).rstrip('.')}. The dead letter stays open."
            ) from error
        except (LetterSettledError, UnknownLetterError, UnreadableLetterError) as error:
            raise CommandError(f"Dead letter {letter_id} cannot be replaced: {error}") from error
    if json_output:
        typer.echo(json_bytes({"id": letter_id, "outcome": outcome}))
        return
    console().print(f"Dead letter {letter_id} is replaced: the corrected message was {outcome}.")
    if outcome is RetryOutcome.REPEATED:
        console().print("RAS had ingested the same content before, so nothing else changed.")


def _chosen(ids: Sequence[int], wanted: LetterFilter) -> list[Mapping[str, Any]]:
    """Return the open letters that are named or fit, oldest first. What waits in a stream is not among them."""
    if not ids:
        rows = ask(lambda queries: _letters(queries, wanted, None))
        return [row for row in reversed(rows) if row["reason"] != PARKED]
    found = ask(lambda queries: _by_id(queries, ids))
    for number, row in zip(ids, found, strict=True):
        if row is None:
            raise CommandError(f"There is no dead letter {number}; `ras dead-letters list` shows the ids.")
        if row["reason"] == PARKED:
            raise CommandError(
                f"Message {number} is parked: `ras parked drain {row['stream_id']}` takes it in, in order."
            )
    return [row for row in found if row is not None]


async def _by_id(queries: DeadLetterQueries, numbers: Sequence[int]) -> list[Mapping[str, Any] | None]:
    return [await queries.letter(number) for number in numbers]


async def _letters(
    queries: DeadLetterQueries, wanted: LetterFilter, limit: int | None
) -> list[Mapping[str, Any]]:
    """Return the newest `limit` letters, all for None."""
    rows: list[Mapping[str, Any]] = []
    before: int | None = None
    while limit is None or len(rows) < limit:
        most = _PAGE if limit is None else min(_PAGE, limit - len(rows))
        page = await queries.letters(wanted, limit=most, before=before)
        rows += page["dead_letters"]
        if page["next_cursor"] is None:
            break
        before = int(page["next_cursor"])
    return rows


def _each(
    letters: Sequence[Mapping[str, Any]],
    act: Callable[[SettleDeadLetters, str], tuple[str, str | None]],
    done: str,
    *,
    failing: str | None,
    json_output: bool,
) -> None:
    """Do it with each, each in a transaction of its own, and tell what came of it."""
    outcomes: list[dict[str, Any]] = []
    with opened_store() as (store, reading), bar("dead letters", len(letters)) as tell:
        settle = SettleDeadLetters(store, **reading)
        for number, letter in enumerate(letters, start=1):
            try:
                outcome, detail = act(settle, letter["stream_id"])
            except (LetterSettledError, UnknownLetterError, UnreadableLetterError) as error:
                outcome, detail = "not possible", str(error)
            outcomes.append({"id": letter["position"], "outcome": outcome, "detail": detail})
            tell(number)
    counts = Counter(each["outcome"] for each in outcomes)
    if json_output:
        typer.echo(json_bytes({"counts": counts, "letters": outcomes}))
    elif not letters:
        say("There are no such dead letters.")
    else:
        summary = ", ".join(f"{number:,} {outcome}" for outcome, number in counts.items())
        out = console()
        out.print(f"{_count(letters)} {done}: {summary}.")
        for each in outcomes:
            if each["detail"] is not None:
                out.print(f"{each['id']}: {each['outcome']}: {each['detail']}")
    if counts["not possible"] or (failing is not None and counts[failing]):
        raise typer.Exit(1)


def _count(letters: Sequence[Mapping[str, Any]]) -> str:
    return f"{len(letters):,} dead letter{'' if len(letters) == 1 else 's'}"
