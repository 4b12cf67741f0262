"""Gives each ingester of a consumer group its slices, by Kafka's group protocol.

Theory of operation. Kafka lets one member of a group, the leader, say what each of them gets, and does not look at
it. The leader gives all partitions to each, and an equal part of the slices. A member says which slices it had, so that
parts stay where they were as far as they can.

What is foreign to one must be another's own. So all members must find the slice of a message in the same way, and each
says in which. Where one says nothing (it is of an early release) or something else, the partitions are divided
instead, each with all slices. Both ways have one name, because a group takes in only those that know one of its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import structlog
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from domain.slices import ALL_SLICES, SLICES, SliceRange

_log = structlog.get_logger(__name__)

_WAY: Final = f"slices 1, msgspec {msgspec.__version__}"
"""How the slice of a message is found. A change of `shares.owner_of` is another way, and so may be another decoder."""


class _Said(msgspec.Struct):
    """What a member says of itself, or is told: the way, and its slices; none where it has none yet."""

    way: str
    first: int = 0
    end: int = 0


class SliceAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka ships no types
    """One ingester's part in the protocol. `slices` are those of its present assignment."""

    name = "roundrobin"
    """The name that early releases know."""

    def __init__(self) -> None:
        self.slices = ALL_SLICES
        self._is_member = False

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what this ingester says when it joins."""
        had = self.slices if self._is_member else SliceRange(0, 0)
        return ConsumerProtocolMemberMetadata(0, list(topics), _encode(_Said(_WAY, had.first, had.end)))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return what each member gets. The leader is asked."""
        said = {member: _decode(metadata.user_data) for member, metadata in members.items()}
        if len({each.way for each in said.values()}) > 1:
            _log.warning(
                "ingest.partitions_are_divided",
                reason="ingesters of different releases",
                members=len(members),
            )
            divided: dict[str, ConsumerProtocolMemberAssignment] = RoundRobinPartitionAssignor.assign(
                cluster, members
            )
            return divided
        # Those with slices in the order of these, then the new ones; a part would be empty behind the 1,024th.
        ordered = sorted(members, key=lambda member: (said[member].end == 0, said[member].first, member))
        working = ordered[:SLICES]
        given = {}
        for member in ordered:
            topics = members[member].subscription if member in working else []
            partitions = [
                (topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in sorted(topics)
            ]
            part = (
                ALL_SLICES.part(working.index(member), len(working))
                if member in working
                else SliceRange(0, 0)
            )
            given[member] = ConsumerProtocolMemberAssignment(
                0, [each for each in partitions if each[1]], _encode(_Said(_WAY, part.first, part.end))
            )
        return given

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Note what this ingester gets."""
        told = _decode(assignment.user_data)
        self._is_member = bool(told.end)
        self.slices = SliceRange(told.first, told.end) if self._is_member else ALL_SLICES


def _encode(said: _Said) -> bytes:
    return msgspec.json.encode(said)


def _decode(user_data: bytes | None) -> _Said:
    try:
        return msgspec.json.decode(user_data or b"", type=_Said)
    except msgspec.MsgspecError:
        return _Said("")
