"""The description of the routes through which operators look at the outbox and at whether all accounts agree."""

from __future__ import annotations

from typing import Any, Final

from infrastructure.http.openapi import JSON, limit, operation, schema_reference

_CHECK: Final = "/internal/v1/ops/check"


def _begun() -> dict[str, Any]:
    described = operation(
        "Begin to check everything",
        None,
        problems=[403, 409],
        description="Long work, done by a process beside this one: look at `Location` until `state` is no longer `running`."
        " One run at a time; 409 names the one under way in `Location`. A run is known to the process that answered,"
        " which remembers its last five.",
    )
    del described["responses"]["204"]
    described["responses"]["202"] = {
        "description": "It is under way",
        "headers": {"Location": {"schema": {"type": "string"}}},
        "content": {JSON: {"schema": schema_reference("CheckRun")}},
    }
    described["responses"]["409"]["headers"] = {"Location": {"schema": {"type": "string"}}}
    return described


OPERATION_PATHS: Final[dict[str, dict[str, Any]]] = {
    "/internal/v1/ops/outbox": {
        "get": operation(
            "What is recorded and not yet published, and what was published lately",
            "Outbox",
            query=[limit(20, 500)],
            problems=[403],
        )
    },
    _CHECK: {
        "get": operation(
            "Whether what came in, is recorded, is shown and went out agrees",
            "Check",
            problems=[403, 409],
            description="Looks at what has come since the last check that found everything in order, which is everything where"
            " there was none. POST looks at everything.",
        ),
        "post": _begun(),
    },
    f"{_CHECK}/runs/{{run_id}}": {
        "get": operation(
            "How a check of everything goes on, and at the end its report",
            "CheckRun",
            path=["run_id"],
            problems=[403, 404],
        )
    },
    f"{_CHECK}/runs/{{run_id}}/cancel": {
        "post": operation(
            "End a check of everything",
            None,
            path=["run_id"],
            problems=[403, 404],
            description="One that has ended stays as it is.",
        )
    },
}
