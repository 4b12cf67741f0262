"""What the figures of a judging report have in common: colours, axes, numbers of a language, intervals.

Colours are CSS variables and `currentColor`, which a renderer passes through: one drawing serves light and dark pages.
`for_print` puts fixed colours in their place, for files that stand alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

Spec = dict[str, Any]

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
_WIDTH: Final = 620
_STEP: Final = 15
_CLOSE_STEP: Final = 12
_HALF_PAGE, _PAGE = 420, 840
"""Pixels for a name, and for all names of a figure."""
ACCENT, _WARN, _GRID = "var(--accent)", "var(--warn)", "var(--grid)"
_FIXED: Final[Mapping[str, str]] = {
    ACCENT: "#1f5fa8",
    _WARN: "#b3261e",
    _GRID: "#dddddd",
    "currentColor": "#111111",
}
_CONFIG: Final[Spec] = {
    "background": None,
    "aria": False,  # its labels are English; the drawing has a name, and a table the numbers
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": _GRID,
        "labelFontSize": 11,
        "labelLimit": 220,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    },
    # Numbers are measured by the renderer's font and may be wider in the reader's: fewer of them, well apart.
    "axisX": {"labelFlush": False, "labelOverlap": "greedy", "labelSeparation": 12, "tickCount": 8},
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "text": {"color": "currentColor"},
}

_NUMBERS: Final[Mapping[str, Spec]] = {
    "en": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "percent": "\u00a0%"},
    "sv": {
        "decimal": ",",
        "thousands": "\u00a0",
        "grouping": [3],
        "currency": ["", ""],
        "percent": "\u00a0%",
    },
}
"""How a language writes numbers on axes (d3-format)."""


def in_language(spec: Spec, locale: str) -> Spec:
    """The specification with the colours of the report and the numbers of a language."""
    return spec | {"config": _CONFIG | {"locale": {"number": _NUMBERS[locale]}}}


def for_print(spec: Spec) -> Spec:
    """The specification with fixed colours on white."""
    written = json.dumps(spec)
    for variable, colour in _FIXED.items():
        written = written.replace(variable, colour)
    fixed: Spec = json.loads(written)
    fixed["config"]["background"] = "white"
    return fixed


def spec_of(title: str, values: list[dict[str, Any]], layers: list[Spec], **more: Any) -> Spec:
    """Layers over `values`, with a description for screen readers; `in_language` completes it."""
    return {
        "$schema": SCHEMA,
        "description": title,
        "width": _WIDTH,
        # Names are measured by the renderer's font and written in the reader's, which may be wider.
        "padding": {"left": 36, "right": 14, "top": 6, "bottom": 6},
        "data": {"values": values},
        "layer": layers,
        **more,
    }


def line_per_name(field: str) -> Spec:
    """The axis of names, in the order of the rows."""
    return {"field": field, "type": "nominal", "sort": None, "title": None}


def intervals(
    title: str, x_title: str, values: list[dict[str, Any]], *, limit: float | None = None, share: bool = False
) -> Spec:
    """A dot and its interval per name, misfits in another colour, and a rule at a limit; `share`: in per cent."""
    # Of many names every second or third is written, so that the figure fits on a page; the table has all.
    y = line_per_name("name") | {"axis": {"labelOverlap": "greedy"}}
    names = max(len(values), 1)
    step = min(_STEP, max(_HALF_PAGE / names, min(_CLOSE_STEP, _PAGE / names), 4))
    colour = {"condition": {"test": "datum.flagged", "value": _WARN}, "value": ACCENT}
    scale: Spec = {"domain": [0, 1]} if share else {"zero": False}
    axis: Spec = {"format": ".0%"} if share else {}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {
                "y": y,
                "x": {
                    "field": "lower",
                    "type": "quantitative",
                    "title": x_title,
                    "scale": scale,
                    "axis": axis,
                },
                "x2": {"field": "upper"},
                "color": colour,
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 40},
            "encoding": {"y": y, "x": {"field": "value", "type": "quantitative"}, "color": colour},
        },
    ]
    if limit is not None:
        rule = {"mark": {"type": "rule", "strokeDash": [4, 3], "color": "currentColor"}}
        layers.append(rule | {"encoding": {"x": {"datum": limit, "type": "quantitative"}}})
    return spec_of(title, values, layers, height={"step": step})
