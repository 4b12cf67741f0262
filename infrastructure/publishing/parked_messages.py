"""Messages that do not go out because their topic refuses one as too large, and those behind it.

Theory of operation. A message that is too large is parked, and with it every later message of its topic and key: they
stay in order, and all other keys go on. What is parked stands in the record of the publisher's position, so it changes
in the same Kafka transaction as what is sent: killed anywhere, a publisher finds both or neither. PostgreSQL holds a
copy for display and for a restore.

A topic is asked for its max.message.bytes. Where that is known, and nothing is compressed, a message that cannot fit is
parked before it is sent, and tried again only when it fits: no transaction is begun in vain. Otherwise the refusal
itself tells, and the message is tried again when the setting has changed or, where that cannot be known (the user lacks
DESCRIBE_CONFIGS), now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from application.envelopes import OutgoingMessage

_MOST: Final = 2_000
"""More would make the record of the position large; then everything waits."""
_AROUND_RECORD: Final = 150
"""Bytes of a record batch and a record around key, value and headers, at most."""

Lane = tuple[str, str]
"""A topic and a key: what must stay in order."""


class OutgoingEvent(NamedTuple):
    """What one event sends."""

    notification_id: int
    stream_id: str
    messages: Sequence[OutgoingMessage]


class ParkedMessage(NamedTuple):
    """A message that waits. `reason` is a sentence; it is empty where the message waits behind another one."""

    notification_id: int
    topic: str
    key: str
    stream_id: str
    reason: str

    @property
    def lane(self) -> Lane:
        """What waits with it."""
        return self.topic, self.key


Parked = tuple[ParkedMessage, ...]


def divided(
    events: Iterable[OutgoingEvent], parked: Parked, refusals: Refusals
) -> tuple[list[OutgoingMessage], Parked]:
    """Return the messages that may be sent, and what is parked then."""
    lanes = {each.lane for each in parked}
    added: list[ParkedMessage] = []
    sent: list[OutgoingMessage] = []
    for event in events:
        for message in event.messages:
            lane = (message.topic, message.key.decode())
            reason = "" if lane in lanes else refusals.of(message)
            if reason is None:
                sent.append(message)
                continue
            lanes.add(lane)
            added.append(ParkedMessage(event.notification_id, *lane, event.stream_id, reason))
    return sent, (*parked, *added)


def complaint(parked: Parked) -> str | None:
    """Return a sentence on what is parked, None for nothing."""
    if not parked:
        return None
    keys = len({each.lane for each in parked})
    those = "1 message waits" if len(parked) == 1 else f"{len(parked)} messages of {keys} keys wait"
    return (
        f"{parked[0].reason} Raise max.message.bytes of the topic (`ras init` creates topics with 10 MiB). "
        f"{those} for that (`ras parked list`); all others go on."
    )


def too_many(parked: Parked) -> bool:
    """Whether no more messages can be parked."""
    return len(parked) > _MOST


def to_marks(parked: Parked) -> list[tuple[str, int, str]]:
    """Return what the copy in PostgreSQL holds: names, notification ids, and all of it as JSON."""
    return [
        (f"{each.notification_id}/{each.topic}", each.notification_id, orjson.dumps(tuple(each)).decode())
        for each in parked
    ]


def from_marks(rows: Iterable[tuple[str, datetime]]) -> Parked:
    """Return what the copy in PostgreSQL holds as JSON."""
    return tuple(ParkedMessage(*orjson.loads(mark)) for mark, _ in rows)


class Refusals:
    """Which messages a topic does not take: known from its settings, or from what the broker has refused."""

    def __init__(self, compression: str | None) -> None:
        self._compression = compression
        self._largest: dict[str, int] = {}
        self._refused: dict[tuple[str, bytes], str] = {}
        self._tried: dict[str, int | None] = {}

    def learn(self, largest: Mapping[str, int]) -> dict[str, int]:
        """Note the max.message.bytes of topics and return those that are new.

        What a topic refused under another value may be sent again.
        """
        new = {topic: limit for topic, limit in largest.items() if self._largest.get(topic) != limit}
        self._largest = dict(largest)
        for key in [key for key in self._refused if self._tried.get(key[0]) != largest.get(key[0])]:
            del self._refused[key]
        return new

    def note(self, message: OutgoingMessage, size: int) -> None:
        """Note that the broker refused `message`, alone in a batch of `size` bytes."""
        self._refused[message.topic, _event_id(message)] = refusal(message, size)
        self._tried[message.topic] = self._largest.get(message.topic)

    def forget_unknown(self) -> None:
        """Let what was refused by topics whose settings cannot be read be sent once more."""
        for key in [key for key in self._refused if key[0] not in self._largest]:
            del self._refused[key]

    def of(self, message: OutgoingMessage) -> str | None:
        """Return why `message` may not be sent, None if it may."""
        if self._refused and (known := self._refused.get((message.topic, _event_id(message)))) is not None:
            return known
        limit = self._largest.get(message.topic)
        if limit is None or self._compression is not None or size_of(message) <= limit:
            return None
        size = _exact_size(message)
        return refusal(message, size) if size > limit else None


def size_of(message: OutgoingMessage) -> int:
    """Return how large a record batch with `message` alone can become, in bytes."""
    size = _AROUND_RECORD + len(message.key) + len(message.value)
    for name, value in message.headers:
        size += len(name) + len(value) + 4
    return size


def refusal(message: OutgoingMessage, size: int) -> str:
    """Return why `message` does not go out, in a batch of `size` bytes."""
    return (
        f"The topic {message.topic} refuses the event {_event_id(message).decode()} (key "
        f"{message.key.decode(errors='replace')}) as too large: {size:,} bytes."
    )


def _event_id(message: OutgoingMessage) -> bytes:
    return dict(message.headers).get("event_id", b"")


def _exact_size(message: OutgoingMessage) -> int:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=1,
        producer_id=0,
        producer_epoch=0,
        base_sequence=0,
        batch_size=0,
    )
    builder.append(0, timestamp=0, key=message.key, value=message.value, headers=list(message.headers))
    return int(builder.size())
