"""Keys lie in the partitions in which Kafka's own clients put them."""

from __future__ import annotations

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.publishing.partitioner import partitions_of


@given(keys=st.lists(st.binary(max_size=70), max_size=20), partitions=st.integers(1, 200))
def test_each_key_goes_where_other_clients_send_it(keys: list[bytes], partitions: int) -> None:
    assert partitions_of(keys, partitions) == {
        key: (reference(key) & 0x7FFFFFFF) % partitions for key in keys
    }


def test_known_values_of_kafkas_own_tests() -> None:
    """From UtilsTest.testMurmur2 of Apache Kafka, signed there."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    known |= {b"a-little-bit-longer-string": -1486304829, b"abc": 479470107}
    for key, signed in known.items():
        assert partitions_of([key], 1_000_003) == {key: (signed & 0x7FFFFFFF) % 1_000_003}
