"""The messages of a fuzz run: streams of the scenarios, mutated, and every field of every contract at its extremes.

All is drawn from one seed: the same seed and number give the same messages.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from random import Random
from typing import Any, Final, get_args
from uuid import NAMESPACE_OID, uuid5

from application.contracts.incoming import WireModel
from application.messages import IncomingMessage
from application.topics import INPUT_TOPICS
from application.translated_messages import READERS
from tests.fuzz.extremes import EXTREMES, as_bytes, extreme_for, spoiled
from tests.support.upstream import Place, every_place, fullest_messages, scenario

_SCENARIOS: Final = (
    *(
        "single-essay",
        "spellcheck-only",
        "spellcheck-failures",
        "happy-path-30",
        "out-of-order",
        "duplicates",
    ),
    *("superseded", "critical-failure", "comparisons-120", "language-analysis"),
)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UNTOUCHED: Final = 0.35
"""So many messages in every hundred stay whole: batches must become ready for their announcements to be tried."""

_RECORD_TIMES_MS: Final = (-1, 0, 1, 1_772_870_400_000, 253_402_300_799_999, 2**53, 2**63 - 1)
_PARTITIONS: Final = 3


def mutated_messages(seed: int, count: int) -> Iterator[IncomingMessage]:
    """Yield `count` messages: scenarios with ids of their own each time, most messages mutated."""
    random = Random(seed)
    places = _Places(random)
    made = 0
    while True:
        salt, share = str(random.getrandbits(64)), random.choice((_UNTOUCHED, 0.9))
        for line in scenario(random.choice(_SCENARIOS)):
            if made == count:
                return
            made += 1
            whole = _with_ids_of_its_own((line.message.value or b"").decode(), salt)
            key = _with_ids_of_its_own((line.message.key or b"").decode(), salt).encode()
            if random.random() < share:
                yield places.message(line.message.topic, key, whole.encode())
                continue
            yield places.mutated(line.message.topic, key, _mutated(json.loads(whole), random))


def fields_at_extremes(seed: int, *, of_each: int | None = None) -> Iterator[IncomingMessage]:
    """Yield a message for each field of each contract and each extreme, or for `of_each` of them drawn by `seed`."""
    random = Random(seed)
    places = _Places(random)
    for topic in INPUT_TOPICS:
        fullest = fullest_messages()[topic]
        for place in dict.fromkeys([*every_place(fullest), *fields_of(READERS[topic][0])]):
            drawn = EXTREMES if of_each is None else random.sample(EXTREMES, of_each)
            for extreme in (..., *drawn):
                salt = str(random.getrandbits(64))
                message = json.loads(_with_ids_of_its_own(json.dumps(fullest), salt))
                put(message, place, extreme)
                yield places.message(topic, salt.encode(), as_bytes(message, random))


def fields_of(model: type[WireModel], path: Place = ()) -> Iterator[Place]:
    """Yield the place of every field that a contract names, those of the models within it included."""
    for name, field in model.model_fields.items():
        yield (*path, name)
        within = (*path, name, 0) if "list" in str(field.annotation) else (*path, name)
        for inner in _models_in(field.annotation):
            yield from fields_of(inner, within)


def put(message: Any, place: Place, value: Any) -> None:
    """Put `value` at `place`, or take away what is there (`...`); objects on the way there are made."""
    here = message
    for name, following in pairwise(place):
        if not isinstance(here, list) and not isinstance(here.get(name), dict | list):
            here[name] = [{}] if following == 0 else {}
        if isinstance(here, list) and not here:
            here.append({})
        here = here[name]
    if value is not ...:
        if isinstance(here, list) and not here:
            here.append(None)
        here[place[-1]] = value
    elif isinstance(here, dict):
        here.pop(place[-1], None)
    elif here:
        del here[place[-1]]


def _models_in(annotation: Any) -> Iterator[type[WireModel]]:
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _with_ids_of_its_own(text: str, salt: str) -> str:
    return _UUID.sub(lambda found: str(uuid5(NAMESPACE_OID, salt + found[0])), text)


def _mutated(message: Any, random: Random) -> bytes | None:
    """Return a message with a few values at an extreme, gone, exchanged, repeated or new; or spoiled as bytes."""
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        found = list(every_place(message))
        if not found:
            break
        place = random.choice(found)
        match random.randrange(8):
            case 0:
                put(message, place, ...)
            case 1:
                put(message, place, deepcopy(_at(message, random.choice(found))))
            case 2 if isinstance(place[-1], str):
                name = random.choice(("", "new", "data", "\0"))
                put(message, (*place[:-1], name), random.choice(EXTREMES))
            case 3 if isinstance(_at(message, place), list):
                put(message, place, _at(message, place) * random.choice((2, 50)))
            case _:
                put(message, place, extreme_for(_at(message, place), random))
    value = as_bytes(message, random)
    return spoiled(value, random) if random.random() < 0.2 else value


def _at(message: Any, place: Place) -> Any:
    for name in place:
        message = message[name]
    return message


class _Places:
    """Gives messages their offsets, and some of them keys, headers and record times at their extremes."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._offsets: Counter[tuple[str, int]] = Counter()

    def message(self, topic: str, key: bytes | None, value: bytes | None) -> IncomingMessage:
        """Return a record as upstream writes it."""
        return self._placed(topic, key, value, _RECORD_TIMES_MS[3], ())

    def mutated(self, topic: str, key: bytes | None, value: bytes | None) -> IncomingMessage:
        """Return a record with a key, headers and a time of any kind."""
        draw = self._random
        if draw.random() < 0.8:
            return self.message(topic, key, value)
        keys = (None, b"", b"\xff\x00\x1b", b"k" * 10_000, key)
        names = ("traceparent", "tracestate", "event_id", "", "\x1b[2J", "a" * 1000)
        values = (b"", b"\xff", b"\0", b"v" * 10_000, b"00-" + b"f" * 32 + b"-" + b"0" * 16 + b"-01")
        headers = tuple((draw.choice(names), draw.choice(values)) for _ in range(draw.choice((0, 1, 3, 100))))
        return self._placed(topic, draw.choice(keys), value, draw.choice(_RECORD_TIMES_MS), headers)

    def _placed(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        headers: tuple[tuple[str, bytes], ...],
    ) -> IncomingMessage:
        partition = self._random.randrange(_PARTITIONS)
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        return IncomingMessage(topic, partition, offset, timestamp_ms, key, value, headers)
