"""A bounded cache of aggregates. The least recently used one leaves first.

The cache is a convenience, never the truth: it must not hold a state with events that were never recorded.
A batch is taken out of it while it is decided on, and comes back after the commit. A judging job, which
may hold a thousand times as much, stays: what is decided on is a draft of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from application.ports import UnreadableEvents
from domain.aggregate import DomainEvent
from domain.assessment import AssessmentAggregate
from domain.batch import BatchAggregate
from domain.language_analysis import LanguageAnalysisAggregate
from domain.parking import ParkableStream, UnreadableStream


class Load(Protocol):
    """Reads streams on from the versions given: `StoreTransaction.load`."""

    def __call__(
        self, after: Mapping[str, int], *, most: int
    ) -> Mapping[str, list[DomainEvent] | UnreadableEvents]: ...


Kind = type[BatchAggregate] | type[AssessmentAggregate] | type[LanguageAnalysisAggregate]
Streams = Mapping[str, Kind]
"""Stream ids, and what their events are folded into."""

_STRETCH: Final = 1000
"""How many events of one stream are read at a time."""

_COST_OF_AN_AGGREGATE = 4
"""What an aggregate weighs beside its essays or answers, in essays (measured: about 1.5 kB against 0.4 kB)."""


class AggregateCache:
    """Aggregates by stream id. `max_size` bounds the essays and answers held in all; 0 keeps nothing."""

    def __init__(self, max_size: int) -> None:
        self._max_weight = max_size
        self._weight = 0
        self._aggregates: OrderedDict[str, tuple[ParkableStream, int]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._aggregates)

    def fetch(self, streams: Streams, load: Load) -> dict[str, ParkableStream]:
        """Return aggregates to decide on; what is not at hand is loaded, all at once.

        Until `keep` brings one back after the commit, its decisions are not found here: whatever goes wrong
        in between, the next `fetch` begins from what was recorded.
        """
        found: dict[str, ParkableStream] = {}
        missing: dict[str, Kind] = {}
        for stream_id, kind in streams.items():
            cached = self._aggregates.get(stream_id)
            if cached is None:
                missing[stream_id] = kind
            elif isinstance(cached[0], AssessmentAggregate):
                found[stream_id] = cached[0].draft()
            else:
                found[stream_id] = cached[0]
                self._drop(stream_id)
        self.hits += len(found)
        self.misses += len(missing)
        if missing:
            found.update(load_aggregates(missing, load))
        return found

    def keep(self, aggregates: Mapping[str, ParkableStream], *, held: Collection[str] = ()) -> None:
        """Take over `aggregates` as saved, and let go of the least recently used beyond the bound.

        Those in `held`, which were kept last, stay: what the store holds of them is older.
        """
        for stream_id, aggregate in aggregates.items():
            self._drop(stream_id)
            if isinstance(aggregate, UnreadableStream):
                continue
            if isinstance(aggregate, AssessmentAggregate):
                aggregate.settle()
            weight = aggregate.size + _COST_OF_AN_AGGREGATE
            self._aggregates[stream_id] = (aggregate, weight)
            self._weight += weight
        while self._weight > self._max_weight and (oldest := next(iter(self._aggregates))) not in held:
            self._drop(oldest)

    def clear(self) -> None:
        """Forget everything."""
        self._aggregates.clear()
        self._weight = 0

    def _drop(self, stream_id: str) -> None:
        dropped = self._aggregates.pop(stream_id, None)
        if dropped is not None:
            self._weight -= dropped[1]


def load_aggregates(streams: Streams, load: Load) -> dict[str, ParkableStream]:
    """Return the aggregates of `streams`, new ones where nothing is recorded yet."""
    aggregates: dict[str, ParkableStream] = {
        stream_id: kind(stream_id) for stream_id, kind in streams.items()
    }
    catch_up(aggregates, load)
    return aggregates


def catch_up(aggregates: dict[str, ParkableStream], load: Load) -> bool:
    """Bring `aggregates` up to what is recorded by now; return whether there was anything new.

    Long streams are read in stretches, so that a large job is never in memory as events. A stream that
    cannot be read or folded is exchanged for an UnreadableStream.
    """
    behind = {stream_id: aggregate.version for stream_id, aggregate in aggregates.items()}
    is_news = False
    while behind:
        longer: dict[str, int] = {}
        for stream_id, events in load(behind, most=_STRETCH).items():
            is_news = True
            aggregate = aggregates[stream_id] = _folded(aggregates[stream_id], events)
            if aggregate.version - behind[stream_id] == _STRETCH:
                longer[stream_id] = aggregate.version
        behind = longer
    return is_news


def _folded(aggregate: ParkableStream, events: list[DomainEvent] | UnreadableEvents) -> ParkableStream:
    if isinstance(events, UnreadableEvents):
        return UnreadableStream(aggregate.id, events.version)
    try:
        for event in events:
            aggregate.apply(event)
    except Exception:  # noqa: BLE001 - a bug in folding one stream must not stop the others
        return UnreadableStream(aggregate.id, events[-1].originator_version)
    return aggregate
