"""Slices: 1,024 parts of all batches, for work that is divided. Which part a batch is in never changes."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

SLICES: Final = 1024


@dataclass(frozen=True, slots=True, order=True)
class SliceRange:
    """The slices from `first` to before `end`."""

    first: int
    end: int

    def holds(self, number: int) -> bool:
        """Whether the slice is one of these."""
        return self.first <= number < self.end

    def part(self, number: int, of: int) -> SliceRange:
        """Return the part `number`, from 0, when these slices are divided into parts that are as good as equal."""
        width = self.end - self.first
        return SliceRange(self.first + width * number // of, self.first + width * (number + 1) // of)

    def contains(self, other: SliceRange) -> bool:
        """Whether all of `other` are of these."""
        return self.first <= other.first and other.end <= self.end


ALL_SLICES: Final = SliceRange(0, SLICES)


def slice_of(batch_id: str) -> int:
    """Return the slice of a batch, or of anything that belongs to no batch, by its id: from 0 to 1,023.

    It is the number in the first two bytes of the SHA-256 of the id in UTF-8, modulo 1,024.
    """
    digest = sha256(batch_id.encode("utf-8", "surrogatepass")).digest()
    return (digest[0] << 8 | digest[1]) % SLICES
