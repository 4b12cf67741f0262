"""The leader of a consumer group gives each ingester all partitions and its part of the slices."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.protocol.metadata import MetadataResponse_v0

from domain.slices import ALL_SLICES, SliceRange
from infrastructure.intake.slice_assignor import SliceAssignor

_TOPICS = ["topic-a", "topic-b"]


def _cluster() -> ClusterMetadata:
    cluster = ClusterMetadata()
    topics = [(0, topic, [(0, number, 0, [0], [0]) for number in range(3)]) for topic in _TOPICS]
    cluster.update_metadata(MetadataResponse_v0([(0, "127.0.0.1", 9092)], topics))
    return cluster


def _assigned(members: Mapping[str, SliceAssignor], leader: str) -> dict[str, SliceRange]:
    """Play one generation of the group, and return the slices of each member."""
    joined = {name: member.metadata(_TOPICS) for name, member in members.items()}
    for name, assignment in members[leader].assign(_cluster(), joined).items():
        members[name].on_assignment(assignment)
        assert [number for _, numbers in assignment.assignment for number in numbers] == [0, 1, 2] * 2
    return {name: member.slices for name, member in members.items()}


def test_each_gets_all_partitions_and_an_equal_part_of_the_slices() -> None:
    members = {name: SliceAssignor() for name in "abcd"}

    assert sorted(_assigned(members, "b").values()) == [ALL_SLICES.part(number, 4) for number in range(4)]
    assert _assigned({"a": members["a"]}, "a") == {"a": ALL_SLICES}


def test_parts_stay_in_their_order_and_who_is_new_gets_the_last() -> None:
    members = {name: SliceAssignor() for name in "mno"}
    before = _assigned(members, "m")
    members = {"a": SliceAssignor(), **members}

    after = _assigned(members, "a")

    assert after["a"] == ALL_SLICES.part(3, 4)
    assert sorted(before, key=before.__getitem__) == [
        n for n in sorted(after, key=after.__getitem__) if n != "a"
    ]


@pytest.mark.parametrize("said", [b"", b"something else", b'{"way":"slices 0"}', b"\xff", b"[]"])
def test_beside_one_that_finds_slices_in_another_way_the_partitions_are_divided(said: bytes) -> None:
    ours = SliceAssignor()
    ours.slices = ALL_SLICES.part(1, 2)
    other = ConsumerProtocolMemberMetadata(0, _TOPICS, said)

    given = ours.assign(_cluster(), {"ours": ours.metadata(_TOPICS), "other": other})
    ours.on_assignment(given["ours"])

    assert ours.slices == ALL_SLICES
    partitions = [
        (topic, n) for each in given.values() for topic, numbers in each.assignment for n in numbers
    ]
    assert sorted(partitions) == [(topic, number) for topic in _TOPICS for number in range(3)]


def test_an_early_release_that_leads_divides_the_partitions() -> None:
    ours = SliceAssignor()
    assert ours.name == RoundRobinPartitionAssignor.name
    early = RoundRobinPartitionAssignor.metadata(_TOPICS)

    given = RoundRobinPartitionAssignor.assign(_cluster(), {"ours": ours.metadata(_TOPICS), "early": early})
    ours.on_assignment(given["ours"])

    assert ours.slices == ALL_SLICES


def test_more_ingesters_than_slices_wait_for_their_turn() -> None:
    members = {f"{number:04}": SliceAssignor() for number in range(1030)}
    leader = members["0000"]

    given = leader.assign(_cluster(), {name: member.metadata(_TOPICS) for name, member in members.items()})

    idle = [name for name, assignment in given.items() if not assignment.assignment]
    assert len(idle) == 6
    for name in idle:
        members[name].on_assignment(given[name])
        assert members[name].metadata(_TOPICS).user_data == members["0000"].metadata(_TOPICS).user_data
