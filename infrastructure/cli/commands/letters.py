"""`ras dead-letters` and `ras parked`: messages that were not ingested, and how to settle them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Signature, signature
from typing import Annotated, Any

import typer

from application.letter_filter import REASONS, SELECTABLE_STATES, ImpossibleFilterError, letter_filter
from application.queries import LetterFilter
from application.short_text import SHORT_TEXT, is_short_text
from domain.dead_letters import PARKED, LetterState

dead_letters = typer.Typer(
    help="Handle messages that could not be ingested.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
parked = typer.Typer(
    help="Handle messages that wait for a fix of RAS.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ReasonOption = Annotated[str | None, typer.Option("--reason", help=f"One of {', '.join(REASONS)}.")]
TopicOption = Annotated[str | None, typer.Option("--topic", help="Only messages of this topic.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only received at this time or later (RFC 3339)."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Only received before this time (RFC 3339).")
]
BatchOption = Annotated[
    str | None,
    typer.Option("--batch", metavar="ID", help="Only messages that carry this batch's or its essays' ids."),
]
EssayOption = Annotated[
    str | None, typer.Option("--essay", metavar="ID", help="Only messages that carry this essay's id.")
]
Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="The ids that `list` shows.")]
AllOption = Annotated[bool, typer.Option("--all", help="All open letters that match the filters.")]
ByOption = Annotated[
    str | None, typer.Option(help="Your name, for the history. Default: the user at the terminal.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@dead_letters.command("list")
def list_letters(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    state: Annotated[
        str, typer.Option(help=f"One of {', '.join(SELECTABLE_STATES)}.")
    ] = LetterState.OPEN.value,
    since: SinceOption = None,
    until: UntilOption = None,
    batch: BatchOption = None,
    essay: EssayOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, newest first.")] = 50,
    json_output: JsonOption = False,
) -> None:
    """List dead letters, newest first. Shows open letters unless --state selects others."""
    wanted = _filter(reason, topic, since, until, state=state, batch=batch, essay=essay)
    from infrastructure.cli import dead_letters as work

    work.list_letters(wanted, limit=limit, json_output=json_output)


@dead_letters.command("show")
def show_letter(
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="The id that `list` shows.")],
    raw: Annotated[bool, typer.Option(help="Print only the message's bytes.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON, bytes in base64.")] = False,
) -> None:
    """Show one dead letter with its bytes."""
    from infrastructure.cli import dead_letters as work

    work.show_letter(letter_id, raw=raw, json_output=json_output)


def _with_options(shared: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the parameters of `shared`, whose result becomes the command's first argument.

    typer reads the signature of a command.
    """
    taken = list(signature(shared, eval_str=True).parameters.values())

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(signature(command, eval_str=True).parameters.values())[1:]

        def combined(**given: Any) -> None:
            result = shared(**{parameter.name: given.pop(parameter.name) for parameter in taken})
            command(result, **given)

        combined.__doc__ = command.__doc__
        combined.__signature__ = Signature([*taken, *own])  # type: ignore[attr-defined]
        combined.__annotations__ = {parameter.name: parameter.annotation for parameter in (*taken, *own)}
        return combined

    return decorate


@dataclass(frozen=True, slots=True)
class _Order:
    """The options that retry and discard share: which letters, by whom, and how to print."""

    ids: Sequence[int]
    wanted: LetterFilter
    by: str
    yes: bool
    json_output: bool


def _order(
    ids: Ids = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    batch: BatchOption = None,
    essay: EssayOption = None,
    every: AllOption = False,
    by: ByOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> _Order:
    """Return the options as a value. Raises typer.BadParameter for a combination that makes no sense."""
    who, wanted = _operator(by), _filter(reason, topic, since, until, batch=batch, essay=essay)
    return _Order(_chosen(ids or (), wanted, every=every), wanted, who, yes, json_output)


@dead_letters.command("retry")
@_with_options(_order)
def retry_letters(order: _Order) -> None:
    """Ingest messages again, oldest first. Exit code 1 if one is refused again."""
    from infrastructure.cli import dead_letters as work

    work.retry_letters(order.ids, order.wanted, by=order.by, yes=order.yes, json_output=order.json_output)


@dead_letters.command("discard")
@_with_options(_order)
def discard_letters(
    order: _Order,
    why: Annotated[str, typer.Option(help="Why, for the history.")] = "",
) -> None:
    """Give messages up. They stay in the history."""
    if not is_short_text(why):
        raise typer.BadParameter(f"say why: {SHORT_TEXT}", param_hint="--why")
    from infrastructure.cli import dead_letters as work

    work.discard_letters(
        order.ids, order.wanted, why=why, by=order.by, yes=order.yes, json_output=order.json_output
    )


@dead_letters.command("replace")
def replace_letter(
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="The id that `list` shows.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The corrected message; - for standard input.")],
    why: Annotated[str, typer.Option(help="What was corrected, for the history.")] = "",
    by: ByOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Ingest a corrected message in place of one. Both stay in the history."""
    who = _operator(by)
    if not is_short_text(why):
        raise typer.BadParameter(f"tell what was corrected: {SHORT_TEXT}", param_hint="--why")
    from infrastructure.cli import dead_letters as work

    work.replace_letter(letter_id, file, why=why, by=who, yes=yes, json_output=json_output)


@parked.command("list")
def list_parked(json_output: JsonOption = False) -> None:
    """List the streams in which messages wait. The longest waiting is first."""
    from infrastructure.cli import parked as work

    work.list_parked(json_output=json_output)


@parked.command("drain")
def drain_parked(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="BATCH", help="Batches or streams. Default: all in which messages wait."),
    ] = None,
    by: ByOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Ingest waiting messages, in order and once. Exit code 1 if some keep waiting."""
    who = _operator(by)
    from infrastructure.cli import parked as work

    work.drain_parked(names or (), by=who, yes=yes, json_output=json_output)


def _operator(by: str | None) -> str:
    """Return the name of the operator."""
    if by is not None:
        if not is_short_text(by):
            raise typer.BadParameter(f"must be {SHORT_TEXT}", param_hint="--by")
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def _chosen(ids: Sequence[int], wanted: LetterFilter, *, every: bool) -> Sequence[int]:
    """Return the ids without repeats; none where the filter chooses. Refuses both at once, and neither."""
    if bool(ids) == (wanted.is_narrow or every):
        raise typer.BadParameter(
            "name letters by their ids, or choose by --reason, --topic, --since, --until, --batch, --essay, or take --all",
            param_hint="ID",
        )
    if wanted.reason == PARKED:
        raise typer.BadParameter(
            "parked messages are drained in order: `ras parked drain`", param_hint="--reason"
        )
    return list(dict.fromkeys(ids))


def _filter(
    reason: str | None,
    topic: str | None,
    since: str | None,
    until: str | None,
    *,
    state: str = LetterState.OPEN.value,
    batch: str | None = None,
    essay: str | None = None,
) -> LetterFilter:
    try:
        return letter_filter(
            reason=reason, topic=topic, state=state, since=since, until=until, batch=batch, essay=essay
        )
    except ImpossibleFilterError as error:
        raise typer.BadParameter(str(error), param_hint=f"--{error.name}") from error
