"""Scores on a chosen scale and grades, for `ras bradley-terry`: as JSON, as a CSV table, and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from infrastructure.cli.judging_plan import named_rows, numbers_in
from infrastructure.errors import OperatorError

if TYPE_CHECKING:
    from application.judging_scales import ScaleOptions
    from domain.bradley_terry import Estimate
    from domain.fixed_anchors import AnchoredScores

ANCHORED_COLUMNS: Final = (
    *("item", "theta", "se", "is_fixed", "displacement", "displacement_se", "flagged"),
)


class ScaleOptionsError(OperatorError):
    """The scale or the grades cannot be made; the text says why."""

    exit_code = 2


class ScaleArguments(NamedTuple):
    """What a command line asks for: a scale (`0-100` or `mean=500,spread=100`), a file of anchors, the order of grades, a text that is the standard."""

    scale: str | None = None
    anchors: str | None = None
    grades: str | None = None
    standard: str | None = None

    @property
    def are_none(self) -> bool:
        """Whether nothing is asked for."""
        return self == ScaleArguments()


def scale_options(given: ScaleArguments) -> ScaleOptions:
    """Return what is asked for, the file of anchors read. Raises ScaleOptionsError."""
    from application.judging_scales import ScaleOptions, grade_order

    grades = None
    if given.anchors is not None:
        grades = {row["item"]: row["grade"].strip() for row in named_rows(given.anchors, "item", "grade")}
    return ScaleOptions(given.scale, grades, grade_order(given.grades), given.standard)


@contextmanager
def scale_errors() -> Iterator[None]:
    """Turn a ScaleError into one with an exit code, as a sentence."""
    from domain.scales import ScaleError

    try:
        yield
    except ScaleError as error:
        raise ScaleOptionsError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def anchored(names: Sequence[str], estimate: Estimate, file: str) -> AnchoredScores:
    """The items on the scale of anchors with fixed values. Raises ScaleOptionsError."""
    from domain.fixed_anchors import AnchorValuesError, anchored_scores

    rows = named_rows(file, "item", "value")
    values = numbers_in(rows, "value", file)
    fixed = {row["item"]: values[k] for k, row in enumerate(rows)}
    if len(fixed) < len(rows):
        raise ScaleOptionsError(f"{file}: an anchor is there twice.")
    try:
        return anchored_scores(names, estimate, fixed)
    except AnchorValuesError as error:
        raise ScaleOptionsError(f"{file}: {error}.") from error


def print_anchored(found: AnchoredScores) -> None:
    """Print the items, and which anchors the decisions would move."""
    from infrastructure.cli.judging_tables import print_plain_table

    rows = [
        (
            each.item,
            _text(each.theta),
            "fixed" if each.is_fixed else _text(each.se),
            _text(each.displacement),
            _text(each.displacement_se),
            "yes" if each.flagged else "-",
        )
        for each in found.texts
    ]
    print_plain_table(
        "On the scale of the fixed anchors (displacement: how far the decisions would move an anchor; flagged beyond "
        f"{found.limit:.2f} of its se)",
        ("item", "theta", "se", "displacement", "its se", "flagged"),
        rows,
    )


def print_scaled(found: dict[str, Any]) -> None:
    """Print the items and the boundaries as tables."""
    from application.judging_scales import SCALED_COLUMNS
    from infrastructure.cli.judging_tables import print_plain_table

    rows = [tuple(_text(item[column]) for column in SCALED_COLUMNS) for item in found["items"]]
    print_plain_table(
        "Scaled scores and grades", tuple(name.replace("_", " ") for name in SCALED_COLUMNS), rows
    )
    if found["boundaries"]:
        print_plain_table(
            "Grade boundaries from the anchors (-: the anchors are not in the order of the grades)",
            ("between", "theta", "se", "scaled"),
            [
                (f"{line['below']} and {line['above']}", *(_text(line[c]) for c in ("theta", "se", "scaled")))
                for line in found["boundaries"]
            ],
        )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
