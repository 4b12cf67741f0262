"""What a newcomer gets wrong, and reads: a clock that is wrong by years, a topic that RAS does not read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from application.topics import SPELLCHECK_RESULTS
from infrastructure.cli.demo import refuse_wrong_clock
from infrastructure.cli.failures import CommandError
from infrastructure.cli.replay import not_read
from infrastructure.demo.stream import stream


def test_a_clock_that_is_years_behind_is_named_before_anything_starts() -> None:
    with pytest.raises(CommandError, match=r"clock of this machine shows 2019-05-04.*messages are of 2026-"):
        refuse_wrong_clock(stream(1, 3), 365, datetime(2019, 5, 4, tzinfo=UTC))


@pytest.mark.parametrize("year", [2026, 2027, 2040])
def test_any_clock_by_which_the_messages_are_believed_is_accepted(year: int) -> None:
    refuse_wrong_clock(stream(1, 3), 365, datetime(year, 5, 4, tzinfo=UTC))


def test_a_topic_that_ras_does_not_read_is_named_with_the_nearest_that_it_reads() -> None:
    warning = not_read("huleedu.essay.spellcheck.result.v1", 12)

    assert "12 messages went to huleedu.essay.spellcheck.result.v1, which RAS does not read." in warning
    assert f"Did you mean {SPELLCHECK_RESULTS}?" in warning
    assert SPELLCHECK_RESULTS in not_read("orders", 1)
