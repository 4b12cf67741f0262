"""Stored form of domain events: registered topic names, JSON states, upcasting.

The library resolves an unknown topic by importing whatever path the database names. Here a topic is
looked up in a closed registry and nothing else: what is not registered is an error that names it.
Stream and version are columns of the store, so the JSON state leaves them out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, get_type_hints

import orjson
from eventsourcing.persistence import Mapper, StoredEvent
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from application.ports import UnstorableError
from domain.aggregate import DomainEvent
from domain.times import EARLIEST_TIME, LATEST_TIME, in_utc
from infrastructure.errors import OperatorError
from infrastructure.eventstore.copy_rows import Row, copy_rows

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""From the state of one version to the state of the next."""


class Stored(Protocol):
    """What decoding needs of a stored event or a notification."""

    @property
    def originator_id(self) -> Any: ...
    @property
    def originator_version(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def state(self) -> bytes: ...


_END: Final = b"}"


class StoredRow(NamedTuple):
    """A stored event with its place in the log: the columns of a select, in this order."""

    notification_id: int
    originator_id: str
    originator_version: int
    topic: str
    state: bytes


class UndecodableEventError(OperatorError):
    """A stored event that this code cannot decode. The text names it, says why, and what to do.

    `place` names it within a sentence, `reason` is the why, which holds nothing of the event's values:
    they may be personal. `notification_id` is set by those who read the log.
    """

    notification_id: int

    def __init__(self, stored: Stored, reason: str) -> None:
        place = f"vent {stored.originator_version} of stream {stored.originator_id} (topic {stored.topic!r})"
        super().__init__(
            f"E{place} cannot be read: {reason}. If a newer release of RAS wrote it, run that release; otherwise "
            "its row in ras.stored_events is damaged: restore it from a backup."
        )
        self.stream_id: Final[str] = stored.originator_id
        self.version: Final = stored.originator_version
        self.place: Final = f"e{place}"
        self.reason: Final = reason


class UnknownEventTopicError(UndecodableEventError):
    """The store holds a topic that this code has not registered: it is older than the store."""


class EventCodec(Mapper[str]):
    """The library's mapper with a closed registry instead of import by path.

    `event_classes` are the current classes, each under its `topic`. `retired` maps the topic of an older
    version to the topic that follows it and the upcast between their states.
    """

    def __init__(
        self,
        event_classes: Iterable[type[DomainEvent]],
        retired: Mapping[str, tuple[str, Upcast]] | None = None,
    ) -> None:
        self._classes: dict[str, type[DomainEvent]] = {}
        for event_class in event_classes:
            if event_class.topic in self._classes:
                raise ValueError(f"Two event classes share the topic {event_class.topic}.")
            self._classes[event_class.topic] = event_class
        self._adapters: Final = _Adapters(self._classes)
        self._times: Final = {topic: _time_fields(each) for topic, each in self._classes.items()}
        self._retired: Final = dict(retired or {})

    @property
    def topics(self) -> frozenset[str]:
        """Every topic that can be read, retired ones included."""
        return frozenset(self._classes) | frozenset(self._retired)

    def stored_under(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Return every topic under which events of `topics` may be stored: their older versions too."""
        found = list(topics)
        for topic in found:  # grows while it is read: an older version may have an older one yet
            found += (older for older, (newer, _) in self._retired.items() if newer == topic)
        return tuple(found)

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Return the stored form of `domain_event`."""
        return StoredEvent(*_row(domain_event))

    def rows_of(self, events: Iterable[DomainEvent]) -> bytes:
        """Return `events` as the rows that `EventRecorder.insert` appends.

        Raises UnstorableError for a value that has no stored form.
        """
        try:
            return copy_rows(map(_row, events))
        except (TypeError, ValueError) as error:
            raise UnstorableError(f"{type(error).__name__}: {error}") from error

    def to_domain_event(self, stored_event: Stored) -> Any:
        """Return the event that `stored_event` holds, upcast to the current version.

        Raises UnknownEventTopicError for a topic that is not registered, UndecodableEventError for a state
        that is not what its topic calls for.
        """
        topic = stored_event.topic
        state_json = stored_event.state
        try:
            if topic in self._classes and state_json.endswith(_END):
                # Stream and version go in as text, at the end: one pass over the JSON, without the dictionary
                # in between, takes half the time. Of two members of one name the last counts.
                whole = b'%b,"originator_id":%b,"originator_version":%d}' % (
                    state_json[:-1],
                    orjson.dumps(stored_event.originator_id),
                    stored_event.originator_version,
                )
                return self._in_utc(topic, self._adapters[topic].validate_json(whole))
            return self._upcast(stored_event)
        except UndecodableEventError:
            raise
        except Exception as error:
            # Whatever an upcast or the JSON stumbles over, it is this event that ails.
            raise UndecodableEventError(stored_event, _ailment(error)) from error

    def _upcast(self, stored_event: Stored) -> Any:
        topic = stored_event.topic
        if topic not in self._classes and topic not in self._retired:
            raise UnknownEventTopicError(stored_event, "this release does not know its topic")
        # Not orjson: it reads integers beyond 64 bits as floats and so loses their last digits.
        try:
            state = from_json(stored_event.state)
        except ValueError as error:
            raise UndecodableEventError(stored_event, "its state is not JSON") from error
        if not isinstance(state, dict):
            raise UndecodableEventError(stored_event, "its state is not a JSON object")
        while topic in self._retired:
            topic, upcast = self._retired[topic]
            state = upcast(state)
        state["originator_id"] = stored_event.originator_id
        state["originator_version"] = stored_event.originator_version
        return self._in_utc(topic, self._adapters[topic].validate_python(state))

    def _in_utc(self, topic: str, event: DomainEvent) -> DomainEvent:
        """Return the event with its times in UTC: earlier releases stored the offsets that upstream had written."""
        elsewhere: dict[str, Any] = {}
        for name in self._times[topic]:
            time = getattr(event, name)
            if _is_out_of_place(time):
                elsewhere[name] = in_utc(time)
        return replace(event, **elsewhere) if elsewhere else event


def _row(event: DomainEvent) -> Row:
    state = dict(vars(event))
    return state.pop("originator_id"), state.pop("originator_version"), event.topic, _encode(state)


class _Adapters(dict[str, TypeAdapter[DomainEvent]]):
    """The adapter of each topic, built when it is first needed: each takes 2 to 6 ms, and most processes need few."""

    def __init__(self, classes: Mapping[str, type[DomainEvent]]) -> None:
        super().__init__()
        self._classes = classes

    def __missing__(self, topic: str) -> TypeAdapter[DomainEvent]:
        adapter = self[topic] = TypeAdapter[DomainEvent](self._classes[topic])
        return adapter


def _time_fields(event_class: type[DomainEvent]) -> tuple[str, ...]:
    return tuple(name for name, kind in get_type_hints(event_class).items() if kind is datetime)


def _is_out_of_place(time: datetime) -> bool:
    return bool(time.utcoffset()) or not EARLIEST_TIME.year < time.year < LATEST_TIME.year


def _ailment(error: Exception) -> str:
    """Return what is wrong with a state, without the values in it."""
    if isinstance(error, ValidationError):
        found = error.errors(include_input=False, include_url=False, include_context=False)
        told = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'its state'}: {each['msg']}" for each in found[:3]
        )
        return told if len(found) <= 3 else f"{told}; and {len(found) - 3} more"
    if isinstance(error, KeyError):
        return f"its state has no {error}"
    return f"its state leads to {type(error).__name__}"


def _encode(state: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(state, option=orjson.OPT_UTC_Z)
    except TypeError:
        # Free-form upstream objects may hold integers beyond 64 bits, which only the slower encoder writes.
        # It would write infinite numbers too, which no JSON reader behind us takes: a ValueError instead.
        return json.dumps(
            state, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else asdict(value)
