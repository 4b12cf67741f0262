"""`ras dead-letters`: the messages that were put aside, and what becomes of them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from application.queries import DeadLetterQueries, LetterFilter
from application.settle import SettleDeadLetters, UnknownLetterError, UnreadableLetterError
from application.time_travel import moment
from domain.dead_letters import LetterSettledError, LetterState, Reason, RetryOutcome
from infrastructure.cli.failures import CommandError
from infrastructure.cli.output import console
from infrastructure.cli.put_aside import By, Yes, ask, bar, confirm, opened_store, operator, plain
from infrastructure.cli.shared_options import with_options
from projections.dead_letters import PARKED, STATES

app = typer.Typer(
    help="List, show, retry and discard the messages that could not be taken in.", no_args_is_help=True
)

_PAGE = 500
_ALL = "all"
_REASONS = [reason.value for reason in Reason] + [PARKED]
_SHOWN = ("position", "reason", "state", "topic", "partition", "offset", "received_at", "detail")

ReasonOption = Annotated[str | None, typer.Option("--reason", help=f"One of {', '.join(_REASONS)}.")]
TopicOption = Annotated[str | None, typer.Option("--topic", help="Only messages of this topic.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only received at this time or later (RFC 3339)."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Only received before this time (RFC 3339).")
]
Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="The ids that `list` shows.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that are open and fit the filters.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command("list")
def list_letters(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    state: Annotated[
        str, typer.Option(help=f"One of {', '.join((*STATES, _ALL))}.")
    ] = LetterState.OPEN.value,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, newest first.")] = 50,
    json_output: JsonOption = False,
) -> None:
    """List dead letters, newest first: those that are open, unless --state says otherwise."""
    if state not in {*STATES, _ALL}:
        raise typer.BadParameter(
            f"{state!r} is no state; there are {', '.join((*STATES, _ALL))}", param_hint="--state"
        )
    wanted = _filter(reason, topic, since, until, state=None if state == _ALL else state)
    rows = ask(lambda queries: _letters(queries, wanted, limit))
    if json_output:
        typer.echo(orjson.dumps(rows))
        return
    if not rows:
        typer.echo("There are no such dead letters.")
        return
    table = Table("id", *_SHOWN[1:])
    for row in map(plain, rows):
        table.add_row(*(str(row[name]) for name in _SHOWN))
    console().print(table)


@app.command("show")
def show_letter(
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="The id that `list` shows.")],
    raw: Annotated[bool, typer.Option(help="Print nothing but the message's bytes.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON, bytes in base64.")] = False,
) -> None:
    """Show one dead letter with its bytes."""
    row = ask(lambda queries: queries.letter(letter_id))
    if row is None:
        raise CommandError(f"There is no dead letter {letter_id}; `ras dead-letters list` shows the ids.")
    if raw:
        typer.get_binary_stream("stdout").write(base64.b64decode(row["value"] or ""))
        return
    if json_output:
        typer.echo(orjson.dumps(dict(row)))
        return
    for name, value in plain(row).items():
        shown = value
        if name in {"key", "value"} and value is not None:
            shown = base64.b64decode(value).decode("utf-8", "backslashreplace")
        typer.echo(f"{name:14} {shown}")


@dataclass(frozen=True, slots=True)
class Order:
    """What retry and discard have in common: which letters, for whom, and how to tell."""

    ids: Sequence[int]
    wanted: LetterFilter
    every: bool
    by: str
    yes: bool
    json_output: bool

    def letters(self, question: str) -> list[Mapping[str, Any]]:
        """Return the letters, after asking `question` about `{letters}` where there are any."""
        letters = _chosen(self.ids, self.wanted, every=self.every)
        if letters:
            confirm(question.format(letters=_count(letters)), yes=self.yes)
        return letters


def order(
    ids: Ids = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: AllOption = False,
    by: By = None,
    yes: Yes = False,
    json_output: JsonOption = False,
) -> Order:
    """Return what the options say. Raises typer.BadParameter for what makes no sense."""
    who, wanted = operator(by), _filter(reason, topic, since, until)
    return Order(ids or (), wanted, every, who, yes, json_output)


@app.command("retry")
@with_options(order)
def retry_letters(order: Order) -> None:
    """Take messages in again, by the ordinary way, oldest first. Exit code 1 if one is refused again."""

    def retry(settle: SettleDeadLetters, stream_id: str) -> tuple[str, str | None]:
        retried = settle.retry(stream_id, by=order.by)
        return retried.outcome.value, retried.detail

    letters = order.letters("Take {letters} in again?")
    _each(letters, retry, "retried", failing=RetryOutcome.REFUSED.value, json_output=order.json_output)


@app.command("discard")
@with_options(order)
def discard_letters(
    order: Order,
    why: Annotated[str, typer.Option(help="Why, for the history.")] = "",
) -> None:
    """Give messages up: they are not offered again and stay in the history."""
    if not why.strip() or len(why) > 500 or not why.isprintable():
        raise typer.BadParameter("say why, in 1 to 500 characters on one line", param_hint="--why")

    def discard(settle: SettleDeadLetters, stream_id: str) -> tuple[str, str | None]:
        settle.discard(stream_id, by=order.by, why=why)
        return LetterState.DISCARDED.value, None

    letters = order.letters("Discard {letters} for good?")
    _each(letters, discard, "discarded", failing=None, json_output=order.json_output)


def _chosen(ids: Sequence[int], wanted: LetterFilter, *, every: bool) -> list[Mapping[str, Any]]:
    """Return the open letters that are named or fit, oldest first. What waits in a stream is not among them."""
    has_filter = any((wanted.reason, wanted.topic, wanted.since, wanted.until))
    if bool(ids) == (has_filter or every):
        raise typer.BadParameter(
            "name letters by their ids, or choose by --reason, --topic, --since, --until, or take --all",
            param_hint="ID",
        )
    if wanted.reason == PARKED:
        raise typer.BadParameter(
            "parked messages are drained in order: `ras parked drain`", param_hint="--reason"
        )
    if not ids:
        rows = ask(lambda queries: _letters(queries, wanted, None))
        return [row for row in reversed(rows) if row["reason"] != PARKED]
    numbers = list(dict.fromkeys(ids))
    found = ask(lambda queries: _by_id(queries, numbers))
    for number, row in zip(numbers, found, strict=True):
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
    with opened_store() as (store, tolerance), bar("dead letters", len(letters)) as tell:
        settle = SettleDeadLetters(store, future_tolerance=tolerance)
        for number, letter in enumerate(letters, start=1):
            try:
                outcome, detail = act(settle, letter["stream_id"])
            except (LetterSettledError, UnknownLetterError, UnreadableLetterError) as error:
                outcome, detail = "not possible", str(error)
            outcomes.append({"id": letter["position"], "outcome": outcome, "detail": detail})
            tell(number)
    counts = Counter(each["outcome"] for each in outcomes)
    if json_output:
        typer.echo(orjson.dumps({"counts": counts, "letters": outcomes}))
    elif not letters:
        typer.echo("There are no such dead letters.")
    else:
        summary = ", ".join(f"{number:,} {outcome}" for outcome, number in counts.items())
        typer.echo(f"{_count(letters)} {done}: {summary}.")
        for each in outcomes:
            if each["detail"] is not None:
                typer.echo(f"{each['id']}: {each['outcome']}: {each['detail']}")
    if counts["not possible"] or (failing is not None and counts[failing]):
        raise typer.Exit(1)


def _filter(
    reason: str | None, topic: str | None, since: str | None, until: str | None, *, state: str | None = "open"
) -> LetterFilter:
    if reason is not None and reason not in _REASONS:
        raise typer.BadParameter(
            f"{reason!r} is no reason; there are {', '.join(_REASONS)}", param_hint="--reason"
        )
    return LetterFilter(
        reason=reason,
        topic=topic,
        state=state,
        since=_time(since, "--since"),
        until=_time(until, "--until"),
    )


def _time(text: str | None, option: str) -> datetime | None:
    try:
        return None if text is None else moment(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _count(letters: Sequence[Mapping[str, Any]]) -> str:
    return f"{len(letters):,} dead letter{'' if len(letters) == 1 else 's'}"
