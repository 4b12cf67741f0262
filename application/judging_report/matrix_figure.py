"""The heat map: who won against whom."""

from __future__ import annotations

from typing import Final

import numpy as np

from application.judging_report.contents import ReportContents
from application.judging_report.figure import Figure
from application.judging_report.specs import Spec, line_per_name, spec_of
from application.judging_report.texts import Texts

_MOST_CELLS: Final = 50


def matrix_figure(contents: ReportContents, texts: Texts) -> Figure:
    """The share of wins of rows against columns, items in the order of scores; many items in groups of equal size."""
    counts, n = contents.estimate.counts, contents.estimate.counts.n_items
    position = {name: i for i, name in enumerate(contents.comparisons.items)}
    order = np.array([position[item.item] for item in contents.scores.items])
    groups = min(n, _MOST_CELLS)
    group = np.empty(n, dtype=np.intp)
    group[order] = np.arange(n) * groups // n
    wins, judged = np.zeros((groups, groups)), np.zeros((groups, groups))
    half = counts.pair_ties / 2
    low, high = group[counts.low], group[counts.high]
    np.add.at(wins, (low, high), counts.low_wins + half)
    np.add.at(wins, (high, low), counts.high_wins + half)
    np.add.at(judged, (low, high), counts.judged)
    np.add.at(judged, (high, low), counts.judged)
    names = [
        contents.scores.items[k].item if groups == n else f"{k * n // groups + 1}-{(k + 1) * n // groups}"
        for k in range(groups)
    ]
    cells = [
        {"row": names[i], "column": names[j], "share": wins[i, j] / judged[i, j]}
        for i, j in zip(*np.nonzero(judged), strict=True)
    ]
    title = texts["matrix"]
    step = 12 if groups > 20 else 22
    # Mixed in RGB: along the default, hues, green lies between red and blue.
    scheme = {"domain": [0, 0.5, 1], "range": ["#b3261e", "#cfcfd6", "#1f5fa8"], "interpolate": "rgb"}
    axis = {"labelLimit": 120}
    layer: Spec = {
        "mark": "rect",
        "encoding": {
            "y": {**line_per_name("row"), "scale": {"domain": names}, "axis": axis},
            "x": {
                **line_per_name("column"),
                "scale": {"domain": names},
                "axis": {**axis, "labelAngle": -90, "labelOverlap": False},
            },
            "color": {
                "field": "share",
                "type": "quantitative",
                "scale": scheme,
                "title": texts["share_won"],
                "legend": {"format": ".0%", "values": [0, 0.5, 1]},
            },
        },
    }
    spec = spec_of(title, cells, [layer], height={"step": step}) | {"width": {"step": step}}
    spec["padding"] |= {"bottom": 24}  # the names of the columns
    pairs = sorted(
        zip(
            counts.low.tolist(),
            counts.high.tolist(),
            counts.judged.tolist(),
            counts.low_wins.tolist(),
            strict=True,
        )
    )
    rows = [
        (contents.comparisons.items[i], contents.comparisons.items[j], int(judged_), int(won))
        for i, j, judged_, won in pairs[:2000]
    ]
    columns = texts.columns("item", "other", "decisions", "wins")
    return Figure("matrix", title, texts["matrix_says"], spec, columns, rows)
