"""The batches at hand: a bounded cache of aggregates, least recently used first out.

The cache is a convenience, never the truth: whatever could not be saved must leave it, because its
state then holds what was never recorded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from application.ports import UnreadableEvents
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate
from domain.parking import UnreadableStream

Load = Callable[[Sequence[str]], Mapping[str, list[DomainEvent] | UnreadableEvents]]
Batch = BatchAggregate | UnreadableStream

_COST_OF_A_BATCH = 4
"""What an aggregate weighs beside its essays, in essays (measured: about 1.5 kB against 0.4 kB)."""


class BatchCache:
    """Aggregates by stream id. `max_essays` bounds the essays held in all; 0 keeps nothing."""

    def __init__(self, max_essays: int) -> None:
        self._max_weight = max_essays
        self._weight = 0
        self._batches: OrderedDict[str, tuple[Batch, int]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._batches)

    def fetch(self, stream_ids: Iterable[str], load: Load) -> dict[str, Batch]:
        """Take the aggregates of `stream_ids` out of the cache, or get them by one `load` of all that is missing.

        They are out until `keep` brings them back after the commit: whatever goes wrong in between, an
        aggregate with events that were never recorded is not found here again.
        """
        found: dict[str, Batch] = {}
        missing: list[str] = []
        for stream_id in dict.fromkeys(stream_ids):
            cached = self._batches.get(stream_id)
            if cached is None:
                missing.append(stream_id)
            else:
                found[stream_id] = cached[0]
                self._drop(stream_id)
        self.hits += len(found)
        self.misses += len(missing)
        if missing:
            found.update(load_batches(missing, load))
        return found

    def keep(self, batches: Mapping[str, Batch]) -> None:
        """Take over `batches` as saved, and let go of the least recently used beyond the bound."""
        for stream_id, batch in batches.items():
            self._drop(stream_id)
            if isinstance(batch, UnreadableStream):
                continue
            weight = batch.size + _COST_OF_A_BATCH
            self._batches[stream_id] = (batch, weight)
            self._weight += weight
        while self._weight > self._max_weight:
            self._drop(next(iter(self._batches)))

    def clear(self) -> None:
        """Forget everything."""
        self._batches.clear()
        self._weight = 0

    def _drop(self, stream_id: str) -> None:
        dropped = self._batches.pop(stream_id, None)
        if dropped is not None:
            self._weight -= dropped[1]


def load_batches(stream_ids: Sequence[str], load: Load) -> dict[str, Batch]:
    """Return the aggregates of `stream_ids`, new ones where nothing is recorded yet."""
    streams = load(stream_ids)
    return {stream_id: _replay(stream_id, streams.get(stream_id, [])) for stream_id in stream_ids}


def _replay(stream_id: str, events: list[DomainEvent] | UnreadableEvents) -> Batch:
    if isinstance(events, UnreadableEvents):
        return UnreadableStream(stream_id, events.version)
    try:
        return BatchAggregate.replay(stream_id, events)
    except Exception:  # noqa: BLE001 - a bug in folding one batch must not stop the others
        return UnreadableStream(stream_id, events[-1].originator_version)
