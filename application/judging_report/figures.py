"""The figures of a judging report as Vega-Lite specifications (version 5), and the tables behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from application.judging_report.contents import ReportContents
from application.judging_report.figure import Figure, Rows, percent, percents
from application.judging_report.judge_figures import judge_figures
from application.judging_report.matrix_figure import matrix_figure
from application.judging_report.specs import ACCENT, Spec, in_language, intervals, spec_of
from application.judging_report.texts import Texts
from domain.wording import Count, Percent

MOST_BARS: Final = 200
"""Items in a figure that has a line for each; of more the best, the worst and every k-th between are drawn."""


def figures(contents: ReportContents, texts: Texts, locale: str) -> list[Figure]:
    """All figures in the order of the report."""
    found = [
        _scores(contents, texts),
        *_scaled(contents, texts),
        _forward_test(contents, texts),
        _growth(contents, texts),
        _infit_of_items(contents, texts),
        *judge_figures(contents, texts, locale),
        matrix_figure(contents, texts),
        _next_pairs(contents, texts),
    ]
    return [
        each if each.spec is None else replace(each, spec=in_language(each.spec, locale)) for each in found
    ]


def _scores(contents: ReportContents, texts: Texts) -> Figure:
    findings = contents.quality.findings
    pairs = list(zip(contents.scores.items, findings.items, strict=True))
    values = [
        {"name": item.item, "value": item.theta, "lower": more.lower, "upper": more.upper, "flagged": False}
        for item, more in _thinned(pairs)
    ]
    title = texts["scores"]
    rows = [
        (
            *(more.rank, item.item, item.theta, item.se, more.se_full, f"{more.best_rank}-{more.worst_rank}"),
            *(more.theta_firth, item.comparisons, item.wins),
        )
        for item, more in pairs
    ]
    top = findings.items[0]
    sentence = texts["scores_say"].format(
        item=contents.scores.items[0].item, best=top.best_rank, worst=top.worst_rank, n=len(pairs)
    )
    columns = texts.columns("rank", "item", "theta", "se", "se_full", "ranks", "firth", "comparisons", "wins")
    return Figure("scores", title, sentence, intervals(title, texts["logits"], values), columns, rows)


def _scaled(contents: ReportContents, texts: Texts) -> list[Figure]:
    """Tables of the scores on the scale that was asked for, and of the grade boundaries."""
    if contents.scaled is None:
        return []
    items = contents.scaled["items"]
    answers = {True: texts["yes"], False: texts["no"], None: None}
    cells: dict[str, list[Any]] = {
        "item": [item["item"] for item in items],
        "scaled": [item["scaled"] for item in items],
        "se": [item["scaled_se"] for item in items],
        "true_score": [item["true_score"] for item in items],
        "grade": [item["grade"] for item in items],
        "published_grade": [contents.published_grades.get(item["item"]) for item in items],
        "meets_standard": [answers[item["meets_standard"]] for item in items],
    }
    asked = [name for name, column in cells.items() if any(cell is not None for cell in column)]
    rows = list(zip(*(cells[name] for name in asked), strict=True))
    columns = texts.columns(*asked)
    found = [Figure("scaled", texts["scaled"], texts["scaled_says"], None, columns, rows)]
    if contents.scaled["boundaries"]:
        lines = [
            (f"{line['below']} - {line['above']}", line["theta"], line["se"], line["scaled"])
            for line in contents.scaled["boundaries"]
        ]
        unclear = any(line["theta"] is None for line in contents.scaled["boundaries"])
        sentence = texts["boundaries_unclear" if unclear else "boundaries_say"]
        columns = texts.columns("boundary", "theta", "se", "scaled")
        found.append(Figure("boundaries", texts["boundaries"], sentence, None, columns, lines))
    return found


def _forward_test(contents: ReportContents, texts: Texts) -> Figure:
    test = contents.quality.findings.forward_test
    title = texts["forward"]
    if test.better_than_chance is None:
        sentence = texts["forward_unknown"]
    else:
        sentence = texts["forward_good" if test.better_than_chance else "forward_bad"]
    rows = [
        (texts["found"], *percents(test.correct)),
        (texts["promised"], percent(test.promised_share), None, None),
        (texts["chance"], Percent(0.5), None, None),
    ]
    values = [
        {"name": name, "value": share, "lower": lower or share, "upper": upper or share, "flagged": False}
        for name, share, lower, upper in rows
        if share is not None
    ]
    spec = (
        intervals(title, texts["share_predicted"], values, limit=0.5, share=True) if len(values) > 1 else None
    )
    return Figure(
        "forward-test", title, sentence, spec, texts.columns("what", "share", "lower", "upper"), rows
    )


def _growth(contents: ReportContents, texts: Texts) -> Figure:
    title = texts["growth"]
    points = contents.quality.growth
    values = [{"n": p.decisions, "ssr": p.ssr} for p in points if p.ssr is not None]
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "point": {"color": ACCENT}, "color": ACCENT},
            "encoding": {
                "x": {"field": "n", "type": "quantitative", "title": texts["decisions"]},
                "y": {"field": "ssr", "type": "quantitative", "title": "SSR", "scale": {"zero": False}},
            },
        },
        {
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": "currentColor"},
            "encoding": {"y": {"datum": 0.8, "type": "quantitative"}},
        },
    ]
    rows = [(p.decisions, p.items, p.components, p.ssr) for p in points]
    columns = texts.columns("decisions", "items", "groups", "ssr")
    spec = spec_of(title, values, layers, height=220) if values else None
    return Figure("growth", title, texts["growth_says"], spec, columns, rows)


def _infit_of_items(contents: ReportContents, texts: Texts) -> Figure:
    title = texts["item_infit"]
    limit = contents.quality.misfits.item_limit
    misfits = {item.item for item in contents.quality.misfits.items}
    ordered = sorted(contents.scores.items, key=lambda item: (-item.infit, item.item))
    values = [
        {"name": i.item, "value": i.infit, "lower": i.infit, "upper": i.infit, "flagged": i.item in misfits}
        for i in ordered[:40]
    ]
    sentence = texts["misfits_none"] if not misfits else texts["misfits_some"].format(n=Count(len(misfits)))
    rows = [
        (i.item, i.infit, i.outfit, i.comparisons, texts["yes"] if i.item in misfits else "") for i in ordered
    ]
    columns = texts.columns("item", "infit", "outfit", "comparisons", "misfit")
    spec = intervals(title, texts["col_infit"], values, limit=limit)
    return Figure("item-infit", title, sentence, spec, columns, rows)


def _next_pairs(contents: ReportContents, texts: Texts) -> Figure:
    """A table: if judging goes on, which pairs."""
    rows = [
        (pair.first, pair.second, texts[f"reason_{pair.reason.value}"])
        for pair in contents.quality.next_pairs
    ]
    columns = texts.columns("item", "other", "reason")
    return Figure("next-pairs", texts["next_pairs"], texts["next_pairs_say"], None, columns, rows)


def surprises_table(contents: ReportContents, texts: Texts) -> tuple[Sequence[str], Rows]:
    """Headings and rows: the most surprising decisions."""
    columns = texts.columns("number", "judge", "chosen", "not_chosen", "probability", "justification")
    rows = [
        (s.number, s.judge, s.chosen, s.not_chosen, Percent(s.probability), s.justification)
        for s in contents.surprises
    ]
    return columns, rows


def _thinned(pairs: list[Any]) -> list[Any]:
    if len(pairs) <= MOST_BARS:
        return pairs
    kept = np.unique(np.linspace(0, len(pairs) - 1, MOST_BARS).round().astype(int))
    return [pairs[k] for k in kept.tolist()]
