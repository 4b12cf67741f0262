"""Where ingesters stand in the input topics, each for its own slices.

Theory of operation. The messages of one batch lie in many topic-partitions. So that only one ingester works on a batch,
each reads every partition and ingests the messages of its own slices (`domain/slices.py`). In one partition one
ingester may be further than another: the position in a partition is kept for each range of slices. The ranges of a
partition are all slices, each once. Where one ingester works there is one range, of all slices.

Anyone who is given other slices divides and joins the ranges of each partition, so that some are of its slices alone.
Two ranges are joined where they stand at the same place. Until then the ingester reads from where the
last of its ranges stands, and leaves out what another one is past.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from domain.slices import ALL_SLICES, SliceRange

Partition = tuple[str, int]

NOT_BEGUN = -1
"""The position before the first message."""


@dataclass(frozen=True, slots=True, order=True)
class IntakePosition:
    """Up to which offset the messages of some slices are ingested from a partition, and the mark of the last message seen there."""

    slices: SliceRange
    offset: int
    mark: str | None = None


Ranges = tuple[IntakePosition, ...]
"""Positions in one partition, of ranges that follow each other."""


def intake_position(topic: str, partition: int, slices: SliceRange = ALL_SLICES) -> str:
    """Return the name of the position in a Kafka topic-partition: the offset last ingested."""
    name = f"intake/{topic}/{partition}"
    return name if slices == ALL_SLICES else f"{name}/{slices.first}-{slices.end}"


def slices_in(name: str) -> SliceRange:
    """Return the slices of which a position is, by its name."""
    parts = name.split("/")
    if len(parts) <= 3:
        return ALL_SLICES
    first, _, end = parts[3].partition("-")
    return SliceRange(int(first), int(end))


def partition_in(name: str) -> str:
    """Return the name of the position of all slices in the partition in which this one is."""
    return "/".join(name.split("/")[:3])


def lowest(ranges: Ranges) -> int:
    """Return the offset up to which everything is ingested."""
    return min(each.offset for each in ranges)


def claimed(found: Iterable[IntakePosition], slices: SliceRange) -> tuple[Ranges, Ranges]:
    """Return the positions of `slices` alone, and those of all others, when `found` are all positions of a partition.

    None are found in a partition that is new.
    """
    own: list[IntakePosition] = []
    others: list[IntakePosition] = []
    for each in sorted(found) or [IntakePosition(ALL_SLICES, NOT_BEGUN)]:
        for part, kept in (
            (SliceRange(0, slices.first), others),
            (slices, own),
            (SliceRange(slices.end, ALL_SLICES.end), others),
        ):
            if (common := each.slices.within(part)) is not None:
                kept.append(replace(each, slices=common))
    return tuple(_joined(own)), tuple(others)


def _joined(own: Sequence[IntakePosition]) -> list[IntakePosition]:
    joined: list[IntakePosition] = []
    for each in own:
        last = joined[-1] if joined else None
        if last is not None and last.offset == each.offset and last.slices.end == each.slices.first:
            both = SliceRange(last.slices.first, each.slices.end)
            joined[-1] = IntakePosition(both, each.offset, later(last.mark, each.mark))
        else:
            joined.append(each)
    return joined


def later(mark: str | None, other: str | None) -> str | None:
    """Return which of two marks, that are known, is of the later message in one partition."""
    known = [each for each in (mark, other) if each is not None]
    return max(known, key=lambda each: int(each.partition("/")[0]), default=None)
