"""What a PromQL expression asks for: metrics, and labels of them. Not a parser: a reader of names.

It knows the part of the language that `deploy/` uses, and fails on a name that it cannot place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r'(?P<text>"[^"]*")|(?P<range>\[[^\]]*\])|(?P<name>[A-Za-z_:][\w:]*)|(?P<number>\d+(\.\d+)?)'
    r"|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>])|(?P<space>\s+)"
)
_RANGE: Final = re.compile(r"\[(\d+[smhd]|\$__rate_interval)\]")
_FUNCTIONS: Final = frozenset({"absent", "histogram_quantile", "increase", "max", "rate", "sum"})
_GROUPINGS: Final = frozenset({"by", "without"})
_WORDS: Final = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True)
class Asked:
    """The metrics that an expression names, and those labels by which it picks or groups them."""

    metrics: dict[str, frozenset[str]]
    grouped_by: frozenset[str]


def asked(expression: str) -> Asked:
    """Read `expression`. Raises ValueError for what is no PromQL, or more of it than is known here."""
    tokens = _tokens(expression)
    metrics: dict[str, frozenset[str]] = {}
    grouped: frozenset[str] = frozenset()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name" or text in _WORDS:
            continue
        if text in _GROUPINGS and following == "(":
            end = tokens.index(("sign", ")"), at)
            grouped |= {name for kind, name in tokens[at:end] if kind == "name"}
            at = end + 1
        elif text in _FUNCTIONS:
            if following != "(" and following not in _GROUPINGS:
                raise ValueError(f"{text} is a function, not a metric: {expression}")
        elif following == "(":
            raise ValueError(f"{text} is no function known here: {expression}")
        else:
            labels: frozenset[str] = frozenset()
            if following == "{":
                end = tokens.index(("sign", "}"), at)
                labels = frozenset(name for kind, name in tokens[at:end] if kind == "name")
                at = end + 1
            metrics[text] = metrics.get(text, frozenset()) | labels
    if not metrics:
        raise ValueError(f"No metric is named: {expression}")
    return Asked(metrics, grouped)


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{expression[at:]!r} is no PromQL: {expression}")
        kind = "number" if match.group("number") else match.lastgroup
        if kind == "range" and _RANGE.fullmatch(match.group()) is None:
            raise ValueError(f"{match.group()} is no range: {expression}")
        if kind != "space":
            tokens.append((kind, match.group()))
        at = match.end()
    for opening, closing in ("()", "{}"):
        depth = 0
        for _, text in tokens:
            depth += (text == opening) - (text == closing)
            if depth < 0:
                break
        if depth:
            raise ValueError(f"{opening} and {closing} do not match: {expression}")
    return tokens
