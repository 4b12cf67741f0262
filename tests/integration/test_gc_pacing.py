"""The collector is left alone while folds are worked out, and handed back to when the last has ended."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from infrastructure.gc_pacing import gc_for_connections, gc_paused


def test_blocks_that_overlap_hand_back_when_the_last_ends() -> None:
    inside, first_may_end, second_may_end = Barrier(3), Event(), Event()

    def work(may_end: Event) -> None:
        with gc_paused():
            inside.wait(30)
            assert may_end.wait(30)

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(work, first_may_end), threads.submit(work, second_may_end)
        inside.wait(30)
        assert not gc.isenabled()
        first_may_end.set()
        first.result()
        assert not gc.isenabled(), "the second is still at work"
        second_may_end.set()
        second.result()
        assert gc.isenabled()


def test_a_block_that_fails_hands_back_too() -> None:
    with pytest.raises(KeyError), gc_paused():
        raise KeyError("fault")
    assert gc.isenabled()


def test_who_had_switched_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with gc_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_server_walks_everything_seldom_and_hands_back() -> None:
    before = gc.get_threshold()
    with gc_for_connections():
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        young, middle, old = gc.get_threshold()
        assert young * middle * old == 1_000_000
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
