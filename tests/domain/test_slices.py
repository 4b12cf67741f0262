"""The slices of batches: work is divided by them, so a batch is in the same one in every release."""

from __future__ import annotations

from collections import Counter

import pytest

from domain.slices import SLICES, slice_of


@pytest.mark.parametrize(
    ("batch_id", "expected"),
    [
        ("", 944),
        ("b1", 457),
        ("7b8f4f34-9c1f-4a3e-8a51-0a6f1f0d2c11", 4),
        ("klass 9å", 982),
    ],
)
def test_a_batch_is_in_the_same_slice_forever(batch_id: str, expected: int) -> None:
    assert slice_of(batch_id) == expected


def test_batches_are_spread_evenly() -> None:
    found = Counter(slice_of(f"batch-{number}") // 128 for number in range(20_000))

    assert set(found) == set(range(SLICES // 128))
    assert all(2_300 < batches < 2_700 for batches in found.values())
