"""Divides the records of a micro-batch among processes, so that those of one batch go to the same one.

Only the id is read here. Where a message has none, or names another batch than those before it of the same judging
job, two processes (or two ingesters) decide on one stream. The store then refuses the second decision, and the ingester
does it again by itself: that costs time, and nothing else. But which id is read must never change: an ingester leaves
to others what is not of its slices (`own_messages.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from domain.slices import ALL_SLICES, SliceRange, slice_of
from infrastructure.intake.incoming import Raw


class _Asked(msgspec.Struct):
    bos_batch_id: str | None = None
    cj_batch_id: str | int | None = None


class _Data(msgspec.Struct):
    batch_id: str | None = None
    essay_id: str | None = None
    entity_id: str | None = None
    request_metadata: _Asked | None = None


class _Message(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Message).decode


def owner_of(value: bytes | None) -> str:
    """Return the id of the batch that a message names, else of the job or essay; empty where it names none."""
    try:
        data = _decode(value or b"").data
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    if data.batch_id is not None:
        return data.batch_id
    if (asked := data.request_metadata) is not None:
        return asked.bos_batch_id or str(asked.cj_batch_id)
    return data.essay_id or data.entity_id or ""


def shares(records: Sequence[Raw], number: int, slices: SliceRange = ALL_SLICES) -> list[list[Raw]]:
    """Divide `records` of `slices` into `number` shares by the slices of their batches; the order within each stays."""
    if number == 1:
        return [list(records)]
    divided: list[list[Raw]] = [[] for _ in range(number)]
    width = slices.end - slices.first
    for record in records:
        divided[(slice_of(owner_of(record[5])) - slices.first) * number // width].append(record)
    return divided
