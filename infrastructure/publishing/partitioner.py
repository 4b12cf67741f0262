"""Which partition a key goes to: Kafka's default, so that our records lie where upstream's do.

The hash is that of `org.apache.kafka.common.utils.Utils.murmur2`. aiokafka has it too, key by key and byte by
byte, at 8 µs a key: a fifth of the publisher's work. Here the keys of many records are hashed at once,
those of one length together, as columns of words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

_SEED: Final = 0x9747B28C
_M: Final = np.uint32(0x5BD1E995)

Hashes = npt.NDArray[np.uint32]


def partitions_of(keys: Iterable[bytes], partitions: int) -> dict[bytes, int]:
    """Return the partition of each of `keys` among `partitions`, as Kafka's Java client does."""
    by_length: dict[int, list[bytes]] = {}
    for key in set(keys):
        by_length.setdefault(len(key), []).append(key)
    found: dict[bytes, int] = {}
    for alike in by_length.values():
        places = (murmur2(alike) & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)
        found.update(zip(alike, places.tolist(), strict=True))
    return found


def murmur2(keys: Sequence[bytes]) -> Hashes:
    """Return the 32-bit MurmurHash2 with Kafka's seed of each of `keys`, which are of one length."""
    length = len(keys[0])
    text = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), length)
    whole = length & ~3
    words = np.ascontiguousarray(text[:, :whole]).view("<u4").astype(np.uint32, copy=False)
    h = np.full(len(keys), _SEED ^ length, dtype=np.uint32)
    for k in words.T:
        k = k * _M
        k ^= k >> np.uint32(24)
        h = (h * _M) ^ (k * _M)
    if length > whole:
        for place in range(whole, length):
            h ^= text[:, place].astype(np.uint32) << np.uint32(8 * (place - whole))
        h *= _M
    h ^= h >> np.uint32(13)
    h *= _M
    h ^= h >> np.uint32(15)
    return h
