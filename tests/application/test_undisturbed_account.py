"""The account that end-to-end tests close with: it takes every order for right, and nothing that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

import pytest

from application.translated_messages import TranslatedMessage
from domain.aggregate import DomainEvent
from domain.batch_events import PUBLISHED_EVENTS, BatchRegistered
from domain.parking import ParkableStream
from infrastructure.demo.message import UpstreamMessage
from tests.support.accounts import check_streams_as_undisturbed
from tests.support.deciding import decide
from tests.support.ingesting import intakes_of, messages_of, small_batch


def recorded(messages: Iterable[UpstreamMessage]) -> list[DomainEvent]:
    """Return what is recorded of one batch's messages, read in this order."""
    aggregates: dict[str, ParkableStream] = {}
    events: list[DomainEvent] = []
    for intake in intakes_of(messages):
        assert isinstance(intake.outcome, TranslatedMessage)
        events += decide(intake.outcome, aggregates)
    return events


def announcements(events: Iterable[DomainEvent]) -> list[DomainEvent]:
    """Return the events that leave the service."""
    return [event for event in events if isinstance(event, PUBLISHED_EVENTS)]


def test_a_failure_announced_in_one_order_and_superseded_unsaid_in_another_is_no_loss() -> None:
    sent = messages_of(small_batch(essays=1, rechecked=1))
    while len(announcements(recorded(sent))) > 1:
        sent.pop()  # the stream breaks off while the batch, once said to have failed, is open again
    [registration] = [m for m in sent if isinstance(recorded([m])[0], BatchRegistered)]
    registered_last = [*(m for m in sent if m is not registration), registration]
    assert len(announcements(recorded(sent))) == 1
    assert announcements(recorded(registered_last)) == []

    check_streams_as_undisturbed(recorded(registered_last), sent)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rechecked", [0, 1, 2])
def test_every_order_of_a_stream_that_breaks_off_anywhere_is_right(seed: int, rechecked: int) -> None:
    dice = Random(seed)
    sent = messages_of(small_batch(essays=2, rechecked=rechecked))
    del sent[dice.randint(1, len(sent)) :]
    read = dice.sample(sent, len(sent))

    check_streams_as_undisturbed(recorded(read), sent)


def _without_announcement(events: list[DomainEvent]) -> list[DomainEvent]:
    return [event for event in events if event is not announcements(events)[-1]]


def _with_one_said_twice(events: list[DomainEvent]) -> list[DomainEvent]:
    return [*events, replace(announcements(events)[-1], originator_version=len(events) + 1)]


def _without_last_fact(events: list[DomainEvent]) -> list[DomainEvent]:
    facts = [event for event in events if event not in announcements(events)]
    return events[: facts[-1].originator_version - 1]


def _without_first_event_and_renumbered(events: list[DomainEvent]) -> list[DomainEvent]:
    return [replace(event, originator_version=event.originator_version - 1) for event in events[1:]]


@pytest.mark.parametrize(
    "spoilt",
    [
        _without_announcement,
        _with_one_said_twice,
        _without_last_fact,
        _without_first_event_and_renumbered,
        lambda _: [],
    ],
)
def test_what_is_lost_or_too_much_is_noticed(
    spoilt: Callable[[list[DomainEvent]], list[DomainEvent]],
) -> None:
    sent = messages_of(small_batch(essays=3, failed=1))

    with pytest.raises(AssertionError):
        check_streams_as_undisturbed(spoilt(recorded(sent)), sent)
