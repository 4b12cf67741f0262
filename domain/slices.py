"""Slices: 1,024 parts of all batches, for work that is divided. Which part a batch is in never changes."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

SLICES: Final = 1024


def slice_of(batch_id: str) -> int:
    """Return the slice of a batch, or of anything that belongs to no batch, by its id: from 0 to 1,023.

    It is the number in the first two bytes of the SHA-256 of the id in UTF-8, modulo 1,024.
    """
    digest = sha256(batch_id.encode("utf-8", "surrogatepass")).digest()
    return (digest[0] << 8 | digest[1]) % SLICES
