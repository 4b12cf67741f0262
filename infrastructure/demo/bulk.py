"""The same good batch many times, produced faster than any reader reads it.

One batch is written out by the ordinary generator; every further one is a copy in which the last 32
bits of each identifier are new: one `bytes.replace` a message, about a microsecond. What copies share
is what no reader looks at twice: times, scores, file names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.script import START, draw_script, first_job
from infrastructure.demo.upstream import batch_messages

_IDENTIFIER: Final = re.compile(
    rb"\b([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{4}|[0-9a-f]{24}|[0-9a-f]{8})[0-9a-f]{8}\b"
)
"""UUIDs, trace and storage ids (32 digits), span and upload ids (16 digits), less their last 8 digits."""

_ENDING: Final = b"@" * 8
_USER: Final = "@user@"
_JOB: Final = "@job@"
_ODD: Final = 0x9E3779B1  # an odd factor permutes the 32-bit numbers: endings scattered, none twice
_TEACHERS: Final = 1000


def bulk(
    seed: int, batches: int, essays: int = 30, *, open_batches: int = 200
) -> list[tuple[str, bytes, bytes]]:
    """Return (topic, key, value) of every message of `batches` good batches; see `iterate_bulk`."""
    return list(iterate_bulk(seed, batches, essays, open_batches=open_batches))


def iterate_bulk(
    seed: int, batches: int, essays: int = 30, *, open_batches: int = 200
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield (topic, key, value) of `batches` good batches of 2 * `essays` + 5 messages each.

    At most `open_batches` of them are open at a time, spread evenly over their course from just
    registered to nearly done. 1,000 teachers share them. Nothing fails, is late, or comes twice.
    """
    script = draw_script(f"{seed}:bulk", starts_at=START, user_id=_USER, job_id=_JOB, essays=essays)
    mould = [_cast(message) for message in batch_messages(replace(script, anchors=2))]
    length = len(mould)
    lanes = max(1, min(open_batches, batches))
    job = first_job(seed)
    for step in range(length * (-(-batches // lanes) + 1)):
        for lane in range(lanes):
            run, position = divmod(step - lane * length // lanes, length)
            number = run * lanes + lane
            if run < 0 or number >= batches:
                continue
            topic, key, value, has_name = mould[position]
            ending = b"%08x" % (number * _ODD & 0xFFFFFFFF)
            key = key.replace(_ENDING, ending)
            value = value.replace(_ENDING, ending)
            if has_name:
                key, value = _name(key, number, job), _name(value, number, job)
            yield topic, key, value


def _cast(message: UpstreamMessage) -> tuple[str, bytes, bytes, bool]:
    key = _IDENTIFIER.sub(rb"\1" + _ENDING, message.key or b"")
    value = _IDENTIFIER.sub(rb"\1" + _ENDING, message.value)
    return message.topic, key, value, _USER.encode() in value or _JOB.encode() in value


def _name(text: bytes, number: int, job: int) -> bytes:
    teacher = b"teacher-%04d" % (number % _TEACHERS + 1)
    return text.replace(_USER.encode(), teacher).replace(_JOB.encode(), b"%d" % (job + number))
