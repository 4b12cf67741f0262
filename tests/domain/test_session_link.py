"""The link of two judging sessions: shift, linking error and displaced texts."""

from __future__ import annotations

from math import hypot, sqrt
from statistics import stdev

import pytest

from domain.proportions import bonferroni_limit
from domain.session_link import LinkError, Scored, link

BASE = {f"essay-{k:02}": Scored(0.3 * k, 0.2) for k in range(10)}


def _moved(by: float, names: list[str], **changed: float) -> dict[str, Scored]:
    found = {name: Scored(BASE[name].theta - by, 0.2) for name in names}
    for name, value in changed.items():
        found[name.replace("_", "-")] = Scored(value, 0.2)
    return found


def test_the_shift_is_the_mean_difference_of_the_common_texts() -> None:
    found = link(BASE, {**_moved(1.5, list(BASE)[:6]), "essay-99": Scored(-3.0, 0.4)})

    assert found.shift == pytest.approx(1.5)
    assert {item.item: item.theta for item in found.items}["essay-99"] == pytest.approx(-1.5)
    assert [text.displacement for text in found.common] == pytest.approx([0.0] * 6)
    assert found.correlation == pytest.approx(1.0)
    assert found.spread_ratio == pytest.approx(1.0)


def test_where_texts_kept_their_places_the_error_is_that_of_the_scores() -> None:
    found = link(BASE, _moved(1.5, list(BASE)[:8]))

    assert found.error_from == "standard errors"
    assert found.error == pytest.approx(sqrt(8 * (0.04 + 0.04)) / 8)
    assert found.items[0].se == pytest.approx(hypot(0.2, found.error))


def test_where_texts_moved_the_error_is_that_of_the_differences() -> None:
    names = list(BASE)[:5]
    differences = [1.0, 2.5, 0.2, 1.8, 0.9]
    other = {name: Scored(BASE[name].theta - d, 0.1) for name, d in zip(names, differences, strict=True)}

    found = link({name: Scored(each.theta, 0.1) for name, each in BASE.items()}, other)

    assert found.error_from == "differences"
    assert found.error == pytest.approx(stdev(differences) / sqrt(5))


def test_a_text_that_was_seen_differently_is_flagged_and_others_are_not() -> None:
    found = link(BASE, _moved(1.5, list(BASE), essay_04=5.0))

    assert [text.item for text in found.common if text.flagged] == ["essay-04"]
    assert found.common[0].item == "essay-04"


def test_two_common_texts_link_but_show_nothing() -> None:
    found = link(BASE, _moved(0.5, list(BASE)[:2]))

    assert found.correlation is None
    assert found.spread_ratio is None
    assert found.error > 0
    assert not any(text.flagged for text in found.common)


def test_sessions_without_a_common_text_are_not_linked() -> None:
    with pytest.raises(LinkError, match="no text in common"):
        link(BASE, {"other": Scored(0.0, 0.1)})


def test_the_limit_of_displacement_grows_with_the_number_of_texts() -> None:
    """Bonferroni's limits, from the table of the normal distribution."""
    limits = [bonferroni_limit(n) for n in (1, 5, 30)]
    assert limits == pytest.approx([1.9600, 2.5758, 3.1440], abs=1e-4)


def test_of_many_common_texts_the_furthest_by_chance_is_not_flagged() -> None:
    base = {f"essay-{k:02d}": Scored(0.1 * k, 0.5) for k in range(30)}
    other = base | {"essay-07": Scored(0.7 - 1.7, 0.5)}
    found = link(base, other)
    worst = found.common[0]
    assert (worst.item, worst.flagged) == ("essay-07", False)
    assert abs(worst.displacement) > 2 * worst.displacement_se
