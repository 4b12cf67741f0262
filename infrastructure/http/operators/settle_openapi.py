"""The description of the routes through which operators settle dead letters and drain parked messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from application.letter_filter import REASONS, SELECTABLE_STATES
from application.topics import INPUT_TOPICS
from infrastructure.http.openapi import CURSOR, JSON, limit, operation, query, schema_reference
from infrastructure.http.operators.bulk_letters import LARGEST_PIECE, PIECE
from infrastructure.http.waiting_openapi import AFTER

_WORDS: Final = {"type": "string", "minLength": 1, "maxLength": 500}
_NUMBER: Final = {"type": "integer", "minimum": 0}


def _time(name: str, description: str) -> dict[str, Any]:
    return query(name, description, {"type": "string", "format": "date-time"})


_FILTERS: Final = (
    query("reason", "Only of this reason", {"type": "string", "enum": [*REASONS]}),
    query("topic", "Only of this topic", {"type": "string", "enum": [*INPUT_TOPICS]}),
    _time("since", "Only received at this time or later"),
    _time("until", "Only received before this time"),
)


def _order(
    summary: str,
    schema: str | None,
    *,
    path: Sequence[str] = (),
    query: Sequence[dict[str, Any]] = (),
    needs: Sequence[str] = (),
    numbers: Sequence[str] = (),
    problems: Sequence[int],
    description: str = "",
) -> dict[str, Any]:
    """Describe a call that changes something: nothing of it is kept, so it has no ETag."""
    described = operation(summary, None, path=path, query=query, problems=problems, description=description)
    if schema is not None:
        del described["responses"]["204"]
        content = {JSON: {"schema": schema_reference(schema)}}
        described["responses"]["200"] = {"description": "What came of it", "content": content}
    members = dict.fromkeys(("by", *needs), _WORDS) | dict.fromkeys(numbers, _NUMBER)
    required = [*needs, *numbers]
    body = {
        "type": "object",
        "properties": members,
        "required": required,
        "additionalProperties": False,
    }
    described["requestBody"] = {"required": bool(required), "content": {JSON: {"schema": body}}}
    return described


def _bulk_order(summary: str, *, needs: Sequence[str] = (), description: str) -> dict[str, Any]:
    return _order(
        summary,
        "SettledLetters",
        query=[
            *_FILTERS,
            query("all", "All that are open, where nothing else is chosen by", {"type": "boolean"}),
            CURSOR,
            AFTER,
            limit(PIECE, LARGEST_PIECE),
        ],
        needs=needs,
        numbers=["expected"],
        problems=[400, 403, 409],
        description=f"{description} Those that the list shows for the same filters, a piece at a time, oldest first. `expected` is the"
        " number that the operator has seen there (`settleable`); 409 where it is another by now. While `left` is not 0, go on"
        " with `next_cursor` and `left` as `expected`. With `until` letters that come meanwhile do not count.",
    )


OPERATOR_PATHS: Final[dict[str, dict[str, Any]]] = {
    "/internal/v1/ops/dead-letters": {
        "get": operation(
            "Messages that were put aside, newest first",
            "DeadLetters",
            query=[
                limit(50, 500),
                CURSOR,
                AFTER,
                *_FILTERS,
                query(
                    "state",
                    "Only in this state",
                    {"type": "string", "enum": [*SELECTABLE_STATES], "default": "open"},
                ),
            ],
            problems=[400, 403],
        )
    },
    "/internal/v1/ops/dead-letters/retry": {
        "post": _bulk_order(
            "Take the messages of many in again",
            description="Each as by a single order; `refused` leaves it open, `not_possible` was settled meanwhile.",
        )
    },
    "/internal/v1/ops/dead-letters/discard": {
        "post": _bulk_order(
            "Give the messages of many up", needs=["why"], description="They stay in the history."
        )
    },
    "/internal/v1/ops/dead-letters/{position}": {
        "get": operation(
            "One of them, with its bytes",
            "DeadLetter",
            path=["position"],
            query=[AFTER],
            problems=[400, 403, 404],
        )
    },
    "/internal/v1/ops/dead-letters/{position}/retry": {
        "post": _order(
            "Take its message in again",
            "Retried",
            path=["position"],
            problems=[400, 403, 404, 409],
            description="By the ordinary way, once; 409 when it was settled before. `refused` leaves it open. `by` "
            "names the operator; without, the service does.",
        )
    },
    "/internal/v1/ops/dead-letters/{position}/discard": {
        "post": _order(
            "Give its message up",
            None,
            path=["position"],
            needs=["why"],
            problems=[400, 403, 404, 409],
            description="It is not offered again and stays in the history.",
        )
    },
    "/internal/v1/ops/parked": {
        "get": operation(
            "Streams in which messages wait for a fix of our own code",
            "Parked",
            query=[AFTER],
            problems=[400, 403],
        )
    },
    "/internal/v1/ops/parked/{stream_id}/drain": {
        "post": _order(
            "Take in what waits in a stream, in order, once",
            "Drained",
            path=["stream_id"],
            problems=[400, 403, 404, 409],
            description="Stops at a message on which our code fails still; it and all behind it wait on. 409 when "
            "this release cannot read the stream.",
        )
    },
}
