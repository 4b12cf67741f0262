"""Guarantee 7, and that the aggregate agrees with a model too simple to be wrong in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.aggregate import DomainEvent
from domain.announcement_check import FaultKind, check_announcements
from domain.batch import BatchAggregate
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.completion import Outcome, Tally
from tests.properties import batch_model as model
from tests.properties.batch_model import Account, Statement
from tests.properties.upstream_batches import TruthfulBatch, arrivals, fickle_batches, truthful_batches
from tests.support.examples import examples
from tests.support.given import STREAM, Message, announced, caused_by, play, replayed

_MODERATE = settings(max_examples=examples(150))


def account(batch: BatchAggregate) -> Account:
    """Return how `batch` stands, in the model's terms."""
    state = batch._state
    lines = state.assessment.rankings if state.assessment else ()
    expected = state.registration.essay_ids if state.registration else frozenset()
    own = tuple(line for line in lines if line.essay_id in expected)
    return Account(
        batch.overall_status,
        batch.counts,
        state.tally.phase_results(state.requirements.phases),
        (state.assessment.job_id, own) if state.assessment and own else None,
    )


def statement(event: DomainEvent) -> Statement:
    """Return what an announcement says, in the model's terms."""
    if isinstance(event, BatchAssessmentCompleted):
        return ("ranking", event.job_id, event.rankings)
    assert isinstance(event, BatchResultsReady)
    return (
        "outcome",
        event.revision,
        *Outcome.of(event.overall_status, event.phase_results, event.job_id),
        event.total_essays,
        event.completed_essays,
        event.failed_essays,
        tuple(replace(result, processing_time_seconds=None) for result in event.phase_results),
    )


def statements(messages: Iterable[Message]) -> list[Statement]:
    """Return what a new batch announces while it hears `messages`."""
    return [statement(event) for event in announced(play(messages).collect_events())]


def contents(messages: Iterable[Message]) -> Counter[tuple[object, ...]]:
    """Return what a new batch announces, with everything that consumers see, whatever the order."""
    events = announced(play(messages).collect_events())
    unseen = {"originator_version", "causation"}
    return Counter(
        (type(event).__name__, *(value for name, value in vars(event).items() if name not in unseen))
        for event in events
    )


@_MODERATE
@given(st.data(), fickle_batches())
def test_the_same_messages_in_any_order_and_with_any_repeats_leave_the_same_state(
    data: st.DataObject, messages: tuple[Message, ...]
) -> None:
    shuffled = data.draw(arrivals(messages))

    assert account(play(shuffled)) == account(play(messages))


@_MODERATE
@given(st.data(), truthful_batches())
def test_where_nothing_supersedes_anything_the_announcements_are_the_same(
    data: st.DataObject, batch: TruthfulBatch
) -> None:
    shuffled = data.draw(arrivals(batch.messages))

    heard, heard_shuffled = statements(batch.messages), statements(shuffled)
    if batch.has_opaque_phase:
        # Its outcome may come when the batch is announced already: then it is announced with this phase again.
        for each in (heard, heard_shuffled):
            assert [said[0] for said in each].count("ranking") <= 1
        assert heard[-1][2:5] == heard_shuffled[-1][2:5]
        assert len(heard_shuffled) <= 3
    elif batch.is_stopped:
        # The counts of the moment may differ; what is said does not.
        assert Counter(said[:5] for said in heard) == Counter(said[:5] for said in heard_shuffled)
    else:
        assert contents(shuffled) == contents(batch.messages)


@_MODERATE
@given(st.data(), fickle_batches())
def test_the_last_announcement_states_the_final_outcome_and_no_two_in_a_row_say_the_same(
    data: st.DataObject, messages: tuple[Message, ...]
) -> None:
    shuffled = data.draw(arrivals(messages))
    final = model.account(messages)
    said = statements(shuffled)
    revisions = [outcome[1] for outcome in said if outcome[0] == "outcome"]
    outcomes = [outcome[2:5] for outcome in said if outcome[0] == "outcome"]
    rankings = [ranking[1:] for ranking in said if ranking[0] == "ranking"]

    assert revisions == list(range(1, len(outcomes) + 1))
    for announcements in (outcomes, rankings):
        assert all(one != next_one for one, next_one in pairwise(announcements))
    if final.status is not None:
        assert outcomes[-1] == model.outcome(messages)
    if final.ranking is not None and model.expected(messages):
        assert rankings[-1] == final.ranking


@_MODERATE
@given(st.data(), fickle_batches())
def test_the_aggregate_agrees_with_the_model_after_every_message(
    data: st.DataObject, messages: tuple[Message, ...]
) -> None:
    shuffled = data.draw(arrivals(messages))
    batch = BatchAggregate(STREAM)

    for place, message in enumerate(shuffled):
        message.tell(batch, caused_by(place, message.run))
        assert account(batch) == model.account(shuffled[: place + 1])
    assert [statement(event) for event in announced(batch.pending_events)] == model.statements(shuffled)


@_MODERATE
@given(st.data(), fickle_batches())
def test_a_batch_rebuilt_from_its_events_goes_on_as_if_it_had_never_been_away(
    data: st.DataObject, messages: tuple[Message, ...]
) -> None:
    shuffled = data.draw(arrivals(messages))
    cut = data.draw(st.integers(0, len(shuffled)))
    stayed = play(shuffled[:cut])
    rebuilt = replayed(stayed.collect_events())

    assert (rebuilt.version, rebuilt.size, rebuilt.is_registered) == (
        stayed.version,
        stayed.size,
        stayed.is_registered,
    )
    for batch in (stayed, rebuilt):
        play(shuffled[cut:], batch)

    assert rebuilt.collect_events() == stayed.collect_events()
    assert account(rebuilt) == account(stayed)


@_MODERATE
@given(st.data(), fickle_batches())
def test_what_was_announced_is_what_the_recorded_facts_call_for(
    data: st.DataObject, messages: tuple[Message, ...]
) -> None:
    events = play(data.draw(arrivals(messages))).collect_events()

    assert check_announcements(STREAM, events) == []
    for announcement in announced(events):
        version = announcement.originator_version
        found = check_announcements(STREAM, [event for event in events if event is not announcement])
        assert [(f.fault, f.version) for f in found] == [(FaultKind.ANNOUNCEMENT_MISSING, version)]


@_MODERATE
@given(st.data(), fickle_batches())
def test_the_running_count_equals_a_count_from_scratch(
    data: st.DataObject, messages: tuple[Message, ...]
) -> None:
    batch = BatchAggregate(STREAM)

    for place, message in enumerate(data.draw(arrivals(messages))):
        message.tell(batch, caused_by(place, message.run))
        state = batch._state
        recount = Tally()
        for essay_id in state.registration.essay_ids if state.registration else ():
            spellchecked = state.essays[essay_id].spellchecked
            recount.count(state.requirements.standing(essay_id, spellchecked=spellchecked))
        phases = state.requirements.phases
        assert state.tally.phase_results(phases) == recount.phase_results(phases)
        assert state.tally.counts == recount.counts
        assert min([0, *state.tally.completed_in.values(), *state.tally.failed_in.values()]) == 0
