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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from domain.slices import ALL_SLICES, SLICES, SliceRange

Partition = tuple[str, int]

NOT_BEGUN: Final = -1
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


def claimed(found: Sequence[IntakePosition], slices: SliceRange) -> tuple[Ranges, Ranges]:
    """Return the positions of `slices` alone, and those of all others, when `found` are all positions of a partition.

    None are found in a partition that is new.
    """
    own: list[IntakePosition] = []
    others: list[IntakePosition] = []
    ends = {bound for each in found for bound in (each.slices.first, each.slices.end)}
    for first, end in pairwise(sorted(ends | {0, SLICES, slices.first, slices.end})):
        part = SliceRange(first, end)
        # An early release knows positions of all slices only and may have added one. What it is past is ingested, too.
        known = max(
            (each for each in found if each.slices.contains(part)),
            key=lambda each: each.offset,
            default=IntakePosition(ALL_SLICES, NOT_BEGUN),
        )
        if slices.contains(part):
            _add(own, replace(known, slices=part), joins=bool(own) and own[-1].offset == known.offset)
        else:
            same = bool(others) and known == replace(others[-1], slices=known.slices)
            _add(others, replace(known, slices=part), joins=same and known.slices.contains(others[-1].slices))
    return tuple(own), tuple(others)


def _add(ranges: list[IntakePosition], position: IntakePosition, *, joins: bool) -> None:
    """Add a position behind the others, to the last of them where it `joins`."""
    if not joins or ranges[-1].slices.end != position.slices.first:
        ranges.append(position)
        return
    last = ranges[-1]
    both = SliceRange(last.slices.first, position.slices.end)
    ranges[-1] = IntakePosition(both, position.offset, later(last.mark, position.mark))


def later(mark: str | None, other: str | None) -> str | None:
    """Return which of two marks, that are known, is of the later message in one partition."""
    known = [each for each in (mark, other) if each is not None]
    return max(known, key=lambda each: int(each.partition("/")[0]), default=None)
