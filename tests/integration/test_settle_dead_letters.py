"""Dead letters are tried again and given up: through the ordinary path, once, with their trace."""

from __future__ import annotations

from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from application import topics
from application.deciding import Intake, letter_id
from application.messages import IncomingMessage
from application.settle import (
    LARGEST_CORRECTION,
    RefusedCorrectionError,
    SettleDeadLetters,
    UnknownLetterError,
    UnreadableLetterError,
)
from application.translate import Rejection, translate
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate
from domain.batch_events import BatchResultsReady, MessageParked
from domain.dead_letters import (
    DeadLetterDiscarded,
    DeadLetterReplaced,
    DeadLetterRetried,
    LetterSettledError,
    MessageDeadLettered,
    Reason,
    RetryOutcome,
)
from domain.values import BatchStatus
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.store import EventStore
from tests.support.ingesting import (
    Ingestion,
    dead_letter,
    in_partitions,
    intake_of,
    messages_of,
    small_batch,
)
from tests.support.postgres_probe import PostgresProbe, opened_store

TOLERANCE = timedelta(days=365)
BY = "operator-0001"


@pytest.fixture
def settle(store: EventStore) -> SettleDeadLetters:
    """The use cases on the store."""
    return SettleDeadLetters(store, future_tolerance=TOLERANCE)


def events(database: PostgresProbe, stream_id: str | None = None) -> list[DomainEvent]:
    """Return what is recorded, of one stream or of all."""
    found = [event_codec().to_domain_event(stored) for stored in database.stored()]
    return [event for event in found if stream_id in (None, event.originator_id)]


def too_early(message: IncomingMessage) -> Intake:
    """Return a message that came, by our clock, long before it was sent: a dead letter, until today."""
    intake = Intake(message, translate(message, received_at=message.timestamp - 2 * TOLERANCE))
    assert isinstance(intake.outcome, Rejection)
    assert intake.outcome.reason is Reason.IMPLAUSIBLE_TIME
    return intake


def put_aside(store: EventStore) -> tuple[str, IncomingMessage]:
    """Take in a batch of which the last spellcheck becomes a dead letter; return the letter's stream."""
    messages = in_partitions(messages_of(small_batch()))
    last = max(n for n, message in enumerate(messages) if message.topic == topics.SPELLCHECK_RESULTS)
    intakes = [too_early(m) if n == last else intake_of(m) for n, m in enumerate(messages)]
    Ingestion(store).insist(intakes)
    return letter_id(messages[last]), messages[last]


def test_a_retry_takes_the_message_in_by_the_ordinary_way_and_leaves_its_trace(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    letter, message = put_aside(store)
    assert not any(isinstance(event, BatchResultsReady) for event in events(database))
    counts = database.counts()

    assert settle.retry(letter, by=BY).outcome is RetryOutcome.RECORDED

    aside, retried = events(database, letter)
    assert isinstance(aside, MessageDeadLettered)
    assert isinstance(retried, DeadLetterRetried)
    assert (retried.attempt, retried.outcome, retried.by) == (1, RetryOutcome.RECORDED, BY)
    [ready] = [event for event in events(database) if isinstance(event, BatchResultsReady)]
    assert ready.overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    cause = ready.causation
    assert (cause.topic, cause.partition, cause.offset) == (message.topic, message.partition, message.offset)
    assert cause.received_at > aside.causation.received_at
    assert cause.event_id is not None
    assert database.counts() == counts, "the counts say what became of it when it was ingested"


def test_a_letter_that_was_taken_in_is_not_taken_in_again(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    letter, _ = put_aside(store)
    settle.retry(letter, by=BY)
    before = database.log()

    with pytest.raises(LetterSettledError, match="ingested by an earlier retry"):
        settle.retry(letter, by=BY)
    with pytest.raises(LetterSettledError, match="ingested by an earlier retry"):
        settle.discard(letter, by=BY, why="no need")
    assert database.log() == before


def refused_for_good(store: EventStore) -> tuple[str, IncomingMessage]:
    """Take in a batch of which the last spellcheck names no essay; return the letter's stream and what was meant."""
    messages = in_partitions(messages_of(small_batch()))
    last = max(n for n, message in enumerate(messages) if message.topic == topics.SPELLCHECK_RESULTS)
    meant = messages[last]
    assert meant.value is not None
    wrong = replace(meant, value=meant.value.replace(b'"entity_id"', b'"entity"'))
    intakes = [intake_of(wrong if n == last else m) for n, m in enumerate(messages)]
    Ingestion(store).insist(intakes)
    return letter_id(wrong), meant


def test_a_corrected_message_is_ingested_in_place_of_the_letter_and_both_are_kept(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    letter, meant = refused_for_good(store)
    assert meant.value is not None
    counts = database.counts()

    outcome = settle.replace(letter, meant.value, by=BY, why="the id was misspelt")

    aside, replaced = events(database, letter)
    assert isinstance(aside, MessageDeadLettered)
    assert isinstance(replaced, DeadLetterReplaced)
    assert outcome is replaced.outcome is RetryOutcome.RECORDED
    assert (replaced.by, replaced.why) == (BY, "the id was misspelt")
    assert (b64decode(aside.value or "") != meant.value, b64decode(replaced.value)) == (True, meant.value)
    [ready] = [event for event in events(database) if isinstance(event, BatchResultsReady)]
    assert ready.overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    assert ready.causation.offset == meant.offset
    assert database.counts() == counts
    before = database.log()
    for again in (
        lambda: settle.replace(letter, b"{}", by=BY, why="once more"),
        lambda: settle.retry(letter, by=BY),
        lambda: settle.discard(letter, by=BY, why="no need"),
    ):
        with pytest.raises(LetterSettledError, match="A corrected message was ingested in its place"):
            again()
    assert database.log() == before


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not_json"),
        (b"{}", "contract_violation"),
        (b"\xff\xfe", "not_json"),
        (b'{"data": "\\u0000"}', "contract_violation"),
        (b" " * (LARGEST_CORRECTION + 1), "It has more than 10,000,000 bytes"),
    ],
)
def test_a_correction_that_is_refused_too_changes_nothing(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters, value: bytes, reason: str
) -> None:
    letter, meant = refused_for_good(store)
    assert meant.value is not None
    before = database.log()

    with pytest.raises(RefusedCorrectionError, match=reason):
        settle.replace(letter, value, by=BY, why="a try")

    assert database.log() == before
    assert settle.replace(letter, meant.value, by=BY, why="at last") is RetryOutcome.RECORDED


def test_a_correction_that_postgresql_refuses_changes_nothing(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    letter, meant = refused_for_good(store)
    assert meant.value is not None
    before = database.log()
    value = meant.value.replace(b'"correlation_id"', b'"x":[1e999,%d],"correlation_id"' % 10**30)
    value = value.replace(b'"entity_id":"', b'"entity_id":"\\u0000')

    with pytest.raises(RefusedCorrectionError, match="not_storable"):
        settle.replace(letter, value, by=BY, why="a try")

    assert database.log() == before


def test_of_many_operators_at_once_one_takes_the_message_in(
    store: EventStore, database: PostgresProbe, store_url: str
) -> None:
    letter, _ = put_aside(store)
    together = Barrier(4)

    def retry(_number: int) -> RetryOutcome | None:
        with opened_store(store_url) as own_store:
            together.wait()
            try:
                return SettleDeadLetters(own_store, future_tolerance=TOLERANCE).retry(letter, by=BY).outcome
            except LetterSettledError:
                return None

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(retry, range(4)))

    assert sorted(map(str, outcomes)) == ["None", "None", "None", "recorded"]
    assert len(events(database, letter)) == 2
    assert sum(isinstance(event, BatchResultsReady) for event in events(database)) == 1


def test_a_retry_while_an_ingester_works_on_the_same_batch_is_a_conflict_like_any_other(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    messages = in_partitions(messages_of(small_batch()))
    ingestion = Ingestion(store)
    ingestion.insist([too_early(messages[1]), *map(intake_of, (messages[0], *messages[2:4]))])
    settle.retry(letter_id(messages[1]), by=BY)

    taken = ingestion.insist([intake_of(message) for message in messages[4:]])

    assert taken.conflicts == 1
    assert sum(isinstance(event, BatchResultsReady) for event in events(database)) == 1


def test_a_retry_that_is_refused_leaves_the_letter_open_with_the_new_reason(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    poison = dead_letter(topics.SPELLCHECK_RESULTS)
    Ingestion(store).insist([poison])
    letter = letter_id(poison.message)

    for attempt in (1, 2):
        retried = settle.retry(letter, by=BY)
        assert (retried.outcome, retried.reason) == (RetryOutcome.REFUSED, Reason.NOT_JSON)
        last = events(database, letter)[-1]
        assert isinstance(last, DeadLetterRetried)
        assert (last.attempt, last.reason, last.detail) == (attempt, Reason.NOT_JSON, retried.detail)
    settle.discard(letter, by=BY, why="a test of upstream's")
    assert len(events(database, letter)) == 4


def test_a_discarded_letter_keeps_who_and_why_and_is_not_offered_again(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    letter, _ = put_aside(store)
    settle.discard(letter, by=BY, why="sent twice")

    _, discarded = events(database, letter)
    assert isinstance(discarded, DeadLetterDiscarded)
    assert (discarded.by, discarded.why) == (BY, "sent twice")
    with pytest.raises(LetterSettledError, match="discarded"):
        settle.retry(letter, by=BY)
    with pytest.raises(LetterSettledError, match="discarded"):
        settle.discard(letter, by=BY, why="again")


def test_a_message_that_says_nothing_new_is_a_repeat(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    letter, message = put_aside(store)
    sent_again = replace(message, offset=message.offset + 100)
    Ingestion(store).insist([intake_of(sent_again)])

    assert settle.retry(letter, by=BY).outcome is RetryOutcome.REPEATED
    assert sum(isinstance(event, BatchResultsReady) for event in events(database)) == 1


def test_a_message_that_our_code_fails_on_is_parked_in_its_batch(
    store: EventStore,
    database: PostgresProbe,
    settle: SettleDeadLetters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letter, message = put_aside(store)

    def fail(_batch: BatchAggregate, **_facts: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(BatchAggregate, "record_spellcheck", fail)

    assert settle.retry(letter, by=BY).outcome is RetryOutcome.PARKED
    [parked] = [event for event in events(database) if isinstance(event, MessageParked)]
    assert parked.causation.offset == message.offset
    with pytest.raises(LetterSettledError):
        settle.retry(letter, by=BY)


def test_what_the_store_refuses_is_refused_as_not_storable(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = small_batch("bad", failed=1)
    messages = in_partitions(messages_of(script))
    [failure] = [m for m in messages if b'"spellcheck_failed"' in (m.value or b"")]
    huge = (failure.value or b"").replace(b'"http_status":502', b'"http_status":[1e999,%d]' % 10**30)
    failure = replace(failure, value=huge)
    Ingestion(store).insist([too_early(failure)])

    retried = settle.retry(letter_id(failure), by=BY)

    assert (retried.outcome, retried.reason) == (RetryOutcome.REFUSED, Reason.NOT_STORABLE)
    assert len(events(database)) == 2


@pytest.mark.parametrize("stream_id", ["dead-letter-nothing-0-0-0", "batch-small", "", "é" * 50])
def test_a_letter_that_is_not_there_is_unknown(
    settle: SettleDeadLetters, store: EventStore, stream_id: str
) -> None:
    with pytest.raises(UnknownLetterError):
        settle.retry(stream_id, by=BY)
    with pytest.raises(UnknownLetterError):
        settle.discard(stream_id, by=BY, why="none")


def test_a_letter_of_another_stream_kind_is_unknown(store: EventStore, settle: SettleDeadLetters) -> None:
    script = small_batch()
    Ingestion(store).insist([intake_of(message) for message in in_partitions(messages_of(script))])

    with pytest.raises(UnknownLetterError):
        settle.retry(f"batch-{script.batch_id}", by=BY)


def test_a_letter_of_a_topic_that_is_no_longer_read_stays(
    store: EventStore, database: PostgresProbe, settle: SettleDeadLetters
) -> None:
    poison = dead_letter(topics.SPELLCHECK_RESULTS)
    poison = Intake(poison.message, replace_topic(poison, "huleedu.retired.v1"))
    Ingestion(store).insist([poison])

    with pytest.raises(UnreadableLetterError, match=r"does not read the topic huleedu\.retired\.v1"):
        settle.retry(letter_id(poison.message), by=BY)
    assert len(events(database)) == 1


def replace_topic(intake: Intake, topic: str) -> Rejection:
    """Return why a message of a topic that is no longer read was put aside."""
    assert isinstance(intake.outcome, Rejection)
    return replace(intake.outcome, causation=replace(intake.outcome.causation, topic=topic))
