"""The cache of batches: bounded by essays, least recently used first out, never the truth."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from application.aggregates import AggregateCache, Load, catch_up, load_aggregates
from application.ports import UnreadableEvents
from domain.aggregate import DomainEvent
from domain.assessment import AssessmentAggregate
from domain.batch import BatchAggregate
from domain.batch_events import EssaySlotAssigned
from domain.inbox import NotificationRead
from domain.parking import ParkableStream, UnreadableStream
from tests.application.event_store_contract import recorded_by
from tests.golden.expected_events import EXPECTED
from tests.support.answers import STREAM, Answered, hear
from tests.support.given import registered, slot_assigned

BATCH_WEIGHT = 4
"""What a batch weighs beside its essays."""


def batch(stream_id: str, essays: int = 1) -> BatchAggregate:
    """Return a registered batch of so many essays."""
    events = recorded_by(
        registered(*(f"e{n}" for n in range(essays))), batch_id=stream_id.removeprefix("batch-")
    )
    return BatchAggregate.replay(stream_id, events)


def gives(events: Mapping[str, list[DomainEvent] | UnreadableEvents]) -> Load:
    """Return what loads `events`, whatever is asked for."""

    def load(after: Mapping[str, int], *, most: int) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        return events

    return load


def kept(cache: AggregateCache, *stream_ids: str) -> list[str]:
    """Return which of the streams are in the cache."""
    return [stream_id for stream_id in stream_ids if stream_id not in asked_for(cache, stream_id)]


def asked_for(cache: AggregateCache, *stream_ids: str) -> list[str]:
    """Return which of the streams the cache has to load."""
    missing: list[str] = []

    def load(after: Mapping[str, int], *, most: int) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        missing.extend(after)
        return {}

    cache.fetch(dict.fromkeys(stream_ids, BatchAggregate), load)
    return missing


def filled(max_essays: int, *batches: BatchAggregate) -> AggregateCache:
    """Return a cache that was given `batches`, one after the other."""
    cache = AggregateCache(max_essays)
    for each in batches:
        cache.keep({each.id: each})
    return cache


def test_what_is_kept_is_not_loaded_and_all_that_is_missing_is_loaded_at_once() -> None:
    one = batch("batch-1")
    cache = filled(100, one)
    loads: list[list[str]] = []
    events = recorded_by(registered("e1"), batch_id="2")

    def load(after: Mapping[str, int], *, most: int) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        loads.append(list(after))
        return {"batch-2": events}

    found = cache.fetch(dict.fromkeys(["batch-1", "batch-2", "batch-3", "batch-2"], BatchAggregate), load)

    assert loads == [["batch-2", "batch-3"]]
    assert found["batch-1"] is one
    assert (found["batch-2"].version, found["batch-3"].version) == (1, 0)
    assert (cache.hits, cache.misses) == (1, 2)


def test_what_was_fetched_is_kept_only_once_it_is_saved() -> None:
    cache = AggregateCache(100)
    cache.fetch(dict.fromkeys(["batch-1"], BatchAggregate), gives({}))

    assert len(cache) == 0


def test_the_least_recently_saved_goes_first() -> None:
    room_for_three = 3 * (BATCH_WEIGHT + 1)
    one, two, three, four = (batch(f"batch-{number}") for number in range(1, 5))
    cache = filled(room_for_three, one, two, three, one, four)

    assert kept(cache, "batch-1", "batch-2", "batch-3", "batch-4") == ["batch-1", "batch-3", "batch-4"]


def test_a_batch_weighs_its_essays_as_they_are_when_it_is_kept() -> None:
    grown = batch("batch-1", essays=1)
    cache = filled(2 * (BATCH_WEIGHT + 1), grown, batch("batch-2"))
    assert len(cache) == 2

    for event in recorded_by(*(slot_assigned(f"new-{n}") for n in range(5)), batch_id="1"):
        assert isinstance(event, EssaySlotAssigned)
        grown.apply(event)
    cache.keep({grown.id: grown})

    assert kept(cache, "batch-1", "batch-2") == ["batch-1"]


def test_a_batch_larger_than_the_bound_is_not_kept() -> None:
    cache = filled(50, batch("batch-1"), batch("batch-2", essays=100))

    assert len(cache) == 0


def test_with_a_bound_of_zero_nothing_is_kept() -> None:
    assert len(filled(0, batch("batch-1"))) == 0


@pytest.mark.parametrize("rounds", [1, 50])
def test_keeping_fetching_and_clearing_leave_no_weight_behind(rounds: int) -> None:
    room_for_two = 2 * (BATCH_WEIGHT + 3)
    cache = AggregateCache(room_for_two)
    for _ in range(rounds):
        cache.keep({"batch-1": batch("batch-1", essays=3)})
        cache.fetch(dict.fromkeys(["batch-1", "batch-unknown"], BatchAggregate), gives({}))
        cache.keep({"batch-2": batch("batch-2", essays=3)})
        cache.clear()
    assert len(cache) == 0
    for number in (1, 2):
        cache.keep({f"batch-{number}": batch(f"batch-{number}", essays=3)})

    assert len(cache) == 2


def test_an_unreadable_stream_is_loaded_each_time_and_drives_its_old_state_out() -> None:
    cache = filled(100, batch("batch-1"))
    unreadable: dict[str, ParkableStream] = {"batch-1": UnreadableStream("batch-1", 7)}
    cache.keep(unreadable)

    assert len(cache) == 0
    assert asked_for(cache, "batch-1") == ["batch-1"]


def test_events_that_cannot_be_read_make_an_unreadable_stream_of_their_version() -> None:
    found = load_aggregates(
        {"batch-1": BatchAggregate}, gives({"batch-1": UnreadableEvents(7, "unknown topic")})
    )

    stream = found["batch-1"]
    assert isinstance(stream, UnreadableStream)
    assert stream.version == 7


def test_events_that_cannot_be_folded_make_an_unreadable_stream_of_their_version() -> None:
    foreign = EXPECTED[NotificationRead.topic]
    found = load_aggregates({"batch-1": BatchAggregate}, gives({"batch-1": [foreign]}))

    stream = found["batch-1"]
    assert isinstance(stream, UnreadableStream)
    assert stream.version == foreign.originator_version


# Reading on.


@pytest.mark.parametrize("length", [0, 1, 999, 1000, 1001, 2500])
def test_a_long_stream_is_read_in_stretches_and_from_where_the_aggregate_stands(length: int) -> None:
    recorded = hear(Answered(f"r{number}", at=1) for number in range(length))
    most_at_once = 0

    def load(after: Mapping[str, int], *, most: int) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        nonlocal most_at_once
        stretch = recorded[after[STREAM] : after[STREAM] + most]
        most_at_once = max(most_at_once, len(stretch))
        return {STREAM: list(stretch)} if stretch else {}

    aggregates: dict[str, ParkableStream] = {STREAM: AssessmentAggregate.replay(STREAM, recorded[:1])}
    is_news = catch_up(aggregates, load)

    assert is_news is (length > 1)
    assert (aggregates[STREAM].version, aggregates[STREAM].size) == (length, length)
    assert most_at_once <= 1000
    assert catch_up(aggregates, load) is False


def test_a_stream_with_a_stretch_that_cannot_be_read_takes_messages_behind_its_very_last_version() -> None:
    recorded = hear(Answered(f"r{number}", at=1) for number in range(2500))

    def load(after: Mapping[str, int], *, most: int) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        stretch = recorded[after[STREAM] : after[STREAM] + most]
        if not stretch:
            return {}
        is_broken = stretch[0].originator_version <= 1500 <= stretch[-1].originator_version
        version = stretch[-1].originator_version
        return {STREAM: UnreadableEvents(version, "a bug") if is_broken else list(stretch)}

    stream = load_aggregates({STREAM: AssessmentAggregate}, load)[STREAM]

    assert isinstance(stream, UnreadableStream)
    assert stream.version == 2500


# Judging jobs stay while they are decided on.


def test_a_job_at_hand_is_lent_as_a_draft_until_the_draft_is_kept() -> None:
    cache = AggregateCache(100)
    job = AssessmentAggregate.replay(STREAM, hear([Answered("r1", at=1)]))
    cache.keep({STREAM: job})

    lost = cache.fetch({STREAM: AssessmentAggregate}, gives({}))[STREAM]
    assert isinstance(lost, AssessmentAggregate)
    hear([Answered("r2", at=2)], lost)
    draft = cache.fetch({STREAM: AssessmentAggregate}, gives({}))[STREAM]
    assert isinstance(draft, AssessmentAggregate)
    assert (draft.version, draft.standing_answer("r2")) == (1, None)

    hear([Answered("r3", at=3)], draft)
    cache.keep({STREAM: draft})
    [kept_draft] = cache.fetch({STREAM: AssessmentAggregate}, gives({})).values()
    assert (kept_draft.version, kept_draft.size) == (2, 2)
    assert (cache.hits, cache.misses) == (3, 0)


def test_a_job_weighs_its_answers() -> None:
    job = AssessmentAggregate.replay(STREAM, hear(Answered(f"r{number}", at=1) for number in range(50)))
    cache = AggregateCache(50 + BATCH_WEIGHT)
    cache.keep({STREAM: job})
    assert len(cache) == 1

    cache.keep({"batch-1": batch("batch-1")})
    assert kept(cache, STREAM, "batch-1") == ["batch-1"]
