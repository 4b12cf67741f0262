"""Scores and quality of a judging session as tables for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from domain.bradley_terry import JudgingScores
from domain.judge_agreement import Agreement
from domain.judging_quality import ADAPTIVE_PAIRING_NOTE, JudgingQuality, SplitHalf

_WIDE_ENOUGH_FOR_ANY_NAME = 100_000


def print_judging(scores: JudgingScores, quality: JudgingQuality | None) -> None:
    """Write the tables to standard output. Into a pipe or a file, names are never cut or wrapped."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(
            highlight=False, markup=False, emoji=False, width=_WIDE_ENOUGH_FOR_ANY_NAME, soft_wrap=True
        )
    console.print(
        f"{scores.decisions} decisions, {len(scores.items)} items, {len(scores.judges)} judges; "
        f"SSR {_number(scores.ssr)}, separation G {_number(scores.separation_g)}"
    )
    for warning in scores.warnings:
        console.print(f"Warning: {_visible(warning, console.encoding)}")
    console.print(f"Note: {ADAPTIVE_PAIRING_NOTE}")
    _print_items(console, scores)
    _print_judges(console, scores)
    if quality is not None:
        _print_quality(console, quality)
    console.print(f"Method: {scores.method_version}")


def _print_items(console: Console, scores: JudgingScores) -> None:
    several = len(scores.components) > 1
    for k, component in enumerate(scores.components):
        title = "Items"
        if several:
            reliability = f"SSR {_number(component.ssr)}, separation G {_number(component.separation_g)}"
            title = f"Items of group {k + 1} of {len(scores.components)} ({reliability})"
        members = [item for item in scores.items if item.component == k]
        rows = (
            (
                str(rank),
                item.item,
                *(_number(n) for n in (item.theta, item.se, item.infit, item.outfit)),
                str(item.comparisons),
                str(item.wins),
            )
            for rank, item in enumerate(members, start=1)
        )
        columns = ("rank", "item", "theta", "se", "infit", "outfit", "comparisons", "wins")
        _print_table(console, title, columns, rows, names={"item"})


def _print_judges(console: Console, scores: JudgingScores) -> None:
    rows = ((j.judge, str(j.decisions), _number(j.infit), _number(j.outfit)) for j in scores.judges)
    _print_table(console, "Judges", ("judge", "decisions", "infit", "outfit"), rows, names={"judge"})


def _print_quality(console: Console, quality: JudgingQuality) -> None:
    halves = (quality.split_half_by_judges, quality.split_half_by_decisions)
    _print_table(
        console,
        "Split-half reliability",
        ("halves of", "usable splits", "correlation", "lowest", "highest", "reliability"),
        (_split_half_row(half) for half in halves),
        names={"halves of"},
    )
    _print_table(
        console,
        "Reliability as it grew",
        ("decisions", "items", "groups", "SSR", "G"),
        (
            (str(p.decisions), str(p.items), str(p.components), _number(p.ssr), _number(p.separation_g))
            for p in quality.growth
        ),
    )
    _print_agreement(console, quality.agreement)
    flagged = quality.misfits
    _print_table(
        console,
        "Misfits (infit above mean + 2 sd)",
        ("kind", "name", "infit", "limit"),
        (
            *(("judge", j.judge, _number(j.infit), _number(flagged.judge_limit)) for j in flagged.judges),
            *(("item", i.item, _number(i.infit), _number(flagged.item_limit)) for i in flagged.items),
        ),
        names={"kind", "name"},
    )
    _print_table(
        console,
        "Pairs to judge next",
        ("item", "with", "expected fall of the sum of se^2"),
        (
            (
                p.first,
                p.second,
                "joins two groups" if (fall := p.expected_reduction) is None else _number(fall),
            )
            for p in quality.next_pairs
        ),
        names={"item", "with"},
    )


def _print_agreement(console: Console, agreement: Agreement) -> None:
    if not agreement.overall.shared_pairs:
        console.print("\nNo pair of items was judged by two judges: their agreement is unknown.")
        return
    compared = (
        ("all", "all", agreement.overall),
        *((judge.judge, "all others", judge.agreement) for judge in agreement.judges),
        *((pair.first, pair.second, pair.agreement) for pair in agreement.judge_pairs),
    )
    _print_table(
        console,
        "Agreement on shared pairs",
        ("judge", "with", "shared pairs", "agreements", "rate", "kappa"),
        (
            (judge, other, str(a.shared_pairs), _number(a.agreements), _number(a.rate), _number(a.kappa))
            for judge, other, a in compared
            if a.shared_pairs
        ),
        names={"judge", "with"},
    )


def _split_half_row(half: SplitHalf) -> tuple[str, ...]:
    figures = (half.correlation, half.lowest, half.highest, half.reliability)
    return (half.split_by.value, f"{half.usable_splits} of {half.splits}", *(_number(n) for n in figures))


def _print_table(
    console: Console,
    title: str,
    columns: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    names: frozenset[str] | set[str] = frozenset(),
) -> None:
    """`names` are the columns of text; the others are numbers, and never wrapped."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        is_name = column in names
        table.add_column(
            column,
            justify="left" if is_name else "right",
            no_wrap=not is_name,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(_visible(cell, console.encoding)) for cell in row))
    console.print()
    console.print(table)


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _visible(text: str, encoding: str) -> str:
    """The text with control characters, and what the output cannot encode, written out as escapes.

    A name must neither drive the terminal nor end the command half way through its table.
    """
    shown = text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)
