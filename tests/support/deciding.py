"""Statements and the aggregates they are told to, without a store."""

from __future__ import annotations

from collections.abc import Mapping

from application.translated_messages import TranslatedMessage, carry_out
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_id_of
from domain.parking import ParkableStream


def decide(
    statement: TranslatedMessage, aggregates: dict[str, ParkableStream], *, notes_progress: bool = False
) -> list[DomainEvent]:
    """Tell a statement to the aggregates that it concerns, new ones if need be; return what they record."""
    events: list[DomainEvent] = []
    for command in statement.commands:
        aggregate = aggregates.setdefault(command.stream_id, command.kind(command.stream_id))
        carry_out(command, statement, aggregate, notes_progress=notes_progress)
        events += aggregate.collect_events()
    return events


def batch_id_in(statement: TranslatedMessage) -> str | None:
    """Return the batch that a statement concerns, None if it concerns a judging job alone."""
    for command in statement.commands:
        if command.kind is BatchAggregate:
            return batch_id_of(command.stream_id)
    return None


def batches_among(aggregates: Mapping[str, ParkableStream]) -> dict[str, BatchAggregate]:
    """Return the batches by their ids."""
    return {
        batch_id_of(stream_id): aggregate
        for stream_id, aggregate in aggregates.items()
        if isinstance(aggregate, BatchAggregate)
    }
