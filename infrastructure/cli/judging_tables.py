"""Scores, checks and quality of a judging session as tables for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from domain.bradley_terry import JudgeFit, JudgingScores, ranked
from domain.collation import sort_key
from domain.findings import Findings
from domain.forward_test import CHANCE_LOG_SCORE
from domain.judge_agreement import Agreement
from domain.judge_limits import JudgeCheck
from domain.judging_quality import JudgingQuality, SplitHalf
from domain.next_pairs import NextPair, Reason
from domain.position_effect import PositionEffect
from domain.proportions import Share
from domain.what_if import Differences
from domain.wording import Percent, counted, listed
from infrastructure.cli.standard_output import console as visible_console
from infrastructure.cli.tables import print_rows
from infrastructure.spreadsheet_csv import CsvForm, csv_bytes

DOCUMENTATION = "docs/comparative-judgement.md"
_LEGEND = (
    "theta is the score in logits, 0 in the middle; 1 apart: the higher one is chosen in 73 % of comparisons.",
    "se is its standard error from the item's own comparisons, full se the one that allows for all others, too.",
    "ranks: the places that are within the error, 95 % interval. Firth: the score by a penalised fit, to compare.",
    "SSR (reliability, at most 1) is the share of the spread of the scores that is not error, by the model's account.",
    "infit and outfit are about 1 where decisions are as expected; well above, they are erratic (a misfit).",
)
_REASONS = {
    Reason.JOINS_GROUPS: "joins two groups",
    Reason.WEAK_LINK: "weak link",
    Reason.INFORMATION: "tells most",
    Reason.RANDOM: "drawn at random",
}

_UNBOUND = 10_000
"""Columns of a terminal on which any row fits."""

_ITEM_COLUMNS = (
    *("component", "rank", "item", "theta", "se", "se_full", "best_rank", "worst_rank", "theta_firth"),
    *("infit", "outfit", "comparisons", "wins"),
)
_JUDGE_COLUMNS = (
    *("judge", "decisions", "infit", "infit_limit", "outfit", "agreements", "comparable"),
    *("agreement", "agreement_lower", "agreement_upper", "agreement_limit", "verdict"),
)


def judging_table(
    name: str,
    scores: JudgingScores,
    findings: Findings,
    quality: JudgingQuality | None,
    *,
    locale: str,
    form: CsvForm,
) -> bytes:
    """One table as CSV: `items`, `judges` (by name, in the order of `locale`) or `next-pairs`."""
    header: tuple[str, ...]
    rows: list[tuple[object, ...]]
    if name == "items":
        header = _ITEM_COLUMNS
        rows = [
            (
                *(item.component, rank, item.item, item.theta, item.se, more.se_full, more.best_rank),
                *(more.worst_rank, more.theta_firth, item.infit, item.outfit, item.comparisons, item.wins),
            )
            for (item, rank), more in zip(ranked(scores.items), findings.items, strict=True)
        ]
    elif name == "judges":
        header = _JUDGE_COLUMNS
        rows = [
            (
                *(fit.judge, fit.decisions, fit.infit, check.infit_limit, fit.outfit, check.agreement.hits),
                *(check.agreement.n, check.agreement.share, check.agreement.lower, check.agreement.upper),
                *(check.agreement_limit, check.verdict.value),
            )
            for fit, check in _judges_in_order(scores, findings, locale)
        ]
    else:
        header = ("first", "second", "reason", "expected_reduction")
        pairs = () if quality is None else quality.next_pairs
        rows = [(pair.first, pair.second, pair.reason.value, pair.expected_reduction) for pair in pairs]
    return csv_bytes(header, rows, form)


def _judges_in_order(
    scores: JudgingScores, findings: Findings, locale: str
) -> list[tuple[JudgeFit, JudgeCheck]]:
    key = sort_key(locale)
    return sorted(zip(scores.judges, findings.judges, strict=True), key=lambda pair: key(pair[0].judge))


def print_judging(
    scores: JudgingScores,
    findings: Findings,
    quality: JudgingQuality | None,
    *,
    read_as: str | None = None,
    locale: str = "",
    what_if: Differences | None = None,
) -> None:
    """Write the tables to standard output. Into a pipe or a file, names are never cut or wrapped."""
    console = visible_console()
    console.print(
        f"{counted(scores.decisions, 'decision')}, {counted(len(scores.items), 'item')}, "
        f"{counted(len(scores.judges), 'judge')}; "
        f"SSR {_number(scores.ssr)}, separation G {_number(scores.separation_g)}"
    )
    if read_as is not None:
        console.print(read_as)
    for warning in findings.warnings:
        console.print(f"Warning: {warning}")
    for note in findings.notes:
        console.print(f"Note: {note}")
    if what_if is not None:
        _print_what_if(console, what_if)
    _print_items(console, scores, findings)
    _print_judges(console, scores, findings, locale)
    if quality is not None:
        _print_quality(console, quality)
    console.print()
    for line in _LEGEND:
        console.print(line)
    console.print(f"Method: {scores.method_version}. More: {DOCUMENTATION}, ras bradley-terry --help")


def _print_items(console: Console, scores: JudgingScores, findings: Findings) -> None:
    several = len(scores.components) > 1
    lines = list(zip(ranked(scores.items), findings.items, strict=True))
    for k, component in enumerate(scores.components):
        title = "Items"
        if several:
            reliability = f"SSR {_number(component.ssr)}, separation G {_number(component.separation_g)}"
            title = f"Items of group {k + 1} of {len(scores.components)} ({reliability})"
        rows = (
            (
                str(rank),
                item.item,
                *(_number(n) for n in (item.theta, item.se, more.se_full)),
                f"{more.best_rank}-{more.worst_rank}",
                *(_number(n) for n in (more.theta_firth, item.infit, item.outfit)),
                str(item.comparisons),
                f"{item.wins:g}",
            )
            for (item, rank), more in lines
            if item.component == k
        )
        columns = ("rank", "item", "theta", "se", "full se", "ranks", "Firth", "infit", "outfit")
        _print_table(console, title, (*columns, "comparisons", "wins"), rows, names={"item"})


def _print_what_if(console: Console, found: Differences) -> None:
    console.print(
        f"What if: {counted(found.decisions_after, 'decision')} instead of {found.decisions_before:,}; "
        f"SSR {_number(found.ssr_after)} instead of {_number(found.ssr_before)}; correlation of the scores with those "
        f"of the whole session {_number(found.correlation)}."
    )
    rows = (
        (
            each.item,
            *(_number(value) for value in (each.theta_before, each.theta_after, each.moved)),
            *("-" if rank is None else str(rank) for rank in (each.rank_before, each.rank_after)),
        )
        for each in found.items
    )
    columns = ("item", "theta, whole", "theta, what if", "moved", "rank, whole", "rank, what if")
    _print_table(console, "What changes, the most first", columns, rows, names={"item"})


def _print_judges(console: Console, scores: JudgingScores, findings: Findings, locale: str) -> None:
    rows = (
        (
            j.judge,
            str(j.decisions),
            _number(j.infit),
            _number(check.infit_limit),
            _number(j.outfit),
            f"{check.agreement.hits:g} of {check.agreement.n}",
            _interval(check.agreement),
            _percent(check.agreement_limit),
            check.verdict.value.replace("_", " "),
        )
        for j, check in _judges_in_order(scores, findings, locale)
    )
    columns = (
        "judge",
        "decisions",
        "infit",
        "limit",
        "outfit",
        "agrees",
        "95 % interval",
        "limit",
        "verdict",
    )
    title = "Judges, each against the scores that all others made"
    _print_table(console, title, columns, rows, names={"judge", "verdict"})
    if findings.position is not None:
        _print_position(console, findings.position, locale)


def _print_position(console: Console, position: PositionEffect, locale: str) -> None:
    key = sort_key(locale)
    rows = (
        (
            judge.judge,
            f"{judge.first.hits:g} of {judge.first.n}",
            _interval(judge.first),
            _number(judge.p_value),
            f"{judge.same_choice.hits:g} of {judge.same_choice.n}" if judge.both_orders else "-",
            "position decides" if judge.flagged else "-",
        )
        for judge in sorted(position.judges, key=lambda judge: key(judge.judge))
    )
    title = (
        f"First-shown item chosen ({_number(position.delta)} logits in the model, 95 % interval "
        f"{_number(position.delta_lower)} to {_number(position.delta_upper)}; 0: no effect)"
    )
    columns = ("judge", "first chosen", "95 % interval", "p", "same choice in both orders", "verdict")
    _print_table(console, title, columns, rows, names={"judge", "verdict"})
    if position.matters:
        shifts = sorted(position.items, key=lambda item: (-item.theta_with, item.item))
        _print_table(
            console,
            "Scores without and with the order effect",
            ("item", "without", "with"),
            ((i.item, _number(i.theta_without), _number(i.theta_with)) for i in shifts),
            names={"item"},
        )


def _print_quality(console: Console, quality: JudgingQuality) -> None:
    test = quality.findings.forward_test
    _print_table(
        console,
        "Forward test: each decision predicted from those before it",
        ("measure", "found", "95 % interval", "chance", "promised by the final scores"),
        (
            (
                f"share predicted, of {test.correct.n}",
                _percent(test.correct.share),
                _interval(test.correct),
                "50.0 %",
                _percent(test.promised_share),
            ),
            (
                "log score",
                _number(test.log_score),
                f"{_number(test.log_score_lower)} to {_number(test.log_score_upper)}",
                _number(CHANCE_LOG_SCORE),
                _number(test.promised_log_score),
            ),
        ),
        names={"measure"},
    )
    _print_table(
        console,
        "Weak links",
        ("smaller side", "larger side", "decisions", "pairs", "shift se"),
        (
            (
                f"{listed(link.one_side)} ({len(link.one_side)})",
                f"{listed(link.other_side)} ({len(link.other_side)})",
                str(link.decisions),
                ", ".join(f"{first} - {second}" for first, second in link.pairs[:3]),
                _number(link.shift_se),
            )
            for link in quality.findings.weak_links
        ),
        names={"smaller side", "larger side", "pairs"},
    )
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
    limits = f"judges {_number(flagged.judge_limit)}, items {_number(flagged.item_limit)}"
    _print_table(
        console,
        f"Misfits (infit above mean + 2 sd: {limits})",
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
        ("item", "with", "why", "expected fall of the sum of se^2"),
        (_next_pair_row(pair) for pair in quality.next_pairs),
        names={"item", "with", "why"},
    )


def _next_pair_row(pair: NextPair) -> tuple[str, ...]:
    return (pair.first, pair.second, _REASONS[pair.reason], _number(pair.expected_reduction))


def _print_agreement(console: Console, agreement: Agreement) -> None:
    if not agreement.overall.shared_pairs:
        console.print()
        console.print("No pair of items was judged by two judges: their agreement is unknown.")
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


def print_plain_table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print a table whose first column is a name and whose others are numbers."""
    _print_table(visible_console(), title, columns, rows, names={columns[0]})


def _print_table(
    console: Console,
    title: str,
    columns: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    names: frozenset[str] | set[str] = frozenset(),
) -> None:
    """`names` are the columns of text; the others are numbers, and never wrapped.

    A row that is wider than the terminal, and every row in a pipe, is printed as those of other commands are.
    """
    console.print()
    listed_rows = [*rows]
    if not listed_rows:
        console.print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in names else "right", no_wrap=True)
    for row in listed_rows:
        table.add_row(*row)
    if (
        console.is_terminal
        and Measurement.get(console, console.options.update(max_width=_UNBOUND), table).maximum
        <= console.width
    ):
        console.print(table)
        return
    console.print(title, style="bold")
    print_rows(console, columns, listed_rows)


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else format(Percent(share), ".")


def _interval(share: Share) -> str:
    return "-" if share.lower is None else f"{_percent(share.lower)} to {_percent(share.upper)}"
