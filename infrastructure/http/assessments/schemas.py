"""JSON Schemas (2020-12) of the assessment app's bodies, as OpenAPI 3.1 components."""

from __future__ import annotations

from typing import Any, Final

from application.assessments import Outcome
from infrastructure.http.query.schemas import SCHEMAS as QUERY_SCHEMAS

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_TRUTH: Final[Schema] = {"type": "boolean"}
_NUMBER: Final[Schema] = {"type": "number"}
_MAYBE_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Final[Schema] = {"type": ["integer", "null"], "minimum": 0}
_SENTENCES: Final[Schema] = {"type": "array", "items": _TEXT}
_FREE: Final[Schema] = {"type": "object", "additionalProperties": True}
_MAYBE_FREE: Final[Schema] = {"type": ["object", "null"], "additionalProperties": True}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_MAYBE_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_STATE: Final[Schema] = {
    "type": "string",
    "enum": ["running", "finished"],
    "description": "Finished once upstream has published a result",
}
_LOGITS: Final[Schema] = {"type": ["number", "null"], "description": "Logits; mean 0 in each component"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _described(text: str, schema: Schema) -> Schema:
    return {"description": text, **schema}


_PLACE: Final[dict[str, Schema]] = {
    "component": _described("The group of connected texts, 0 the largest", _MAYBE_COUNT),
    "rank": _described("Within the component, anchors included; equal scores share one", _MAYBE_COUNT),
    "theta": _LOGITS,
    "se": _MAYBE_NUMBER,
    "lower": _described("theta - 1.96 se", _MAYBE_NUMBER),
    "upper": _described("theta + 1.96 se", _MAYBE_NUMBER),
}
_SOURCE: Final[dict[str, Schema]] = {
    "position": _COUNT,
    "topic": _TEXT,
    "partition": _COUNT,
    "offset": _COUNT,
    "event_id": _MAYBE_TEXT,
}
_TOKENS: Final[dict[str, Schema]] = {
    "prompt_tokens": _COUNT,
    "completion_tokens": _COUNT,
    "total_tokens": _COUNT,
}
_RATE: Final[dict[str, Schema]] = {
    "shared_pairs": _COUNT,
    "agreements": _NUMBER,
    "rate": _MAYBE_NUMBER,
    "kappa": _MAYBE_NUMBER,
}
_HALVES: Final = _object(
    split_by={"type": "string", "enum": ["judges", "decisions"]},
    splits=_COUNT,
    usable_splits=_COUNT,
    correlation=_MAYBE_NUMBER,
    lowest=_MAYBE_NUMBER,
    highest=_MAYBE_NUMBER,
    reliability=_MAYBE_NUMBER,
)
_RELIABILITY: Final[dict[str, Schema]] = {
    "ssr": _described("Scale separation reliability; null across components", _MAYBE_NUMBER),
    "separation_g": _MAYBE_NUMBER,
    "components": _list(
        _object(
            component=_COUNT,
            items=_COUNT,
            decisions=_COUNT,
            ssr=_MAYBE_NUMBER,
            separation_g=_MAYBE_NUMBER,
            balanced_adjustment=_TRUTH,
        )
    ),
    "warnings": _described("What to know before relying on the numbers", _SENTENCES),
}

ASSESSMENT_SCHEMAS: Final[dict[str, Schema]] = {
    "Detailed": {
        "description": "Everything about a job. Pages after the first have what `DecisionPage` requires only.",
        "allOf": [
            _ref("DecisionPage"),
            {
                "type": "object",
                "properties": {
                    "result": _maybe(_ref("PublishedResult")),
                    "items": _list(_ref("Item")),
                    "components": _described(
                        "The groups of texts that decisions connect, by name; there is no scale across them",
                        _list(_object(component=_COUNT, items=_SENTENCES)),
                    ),
                    "matrix": _ref("Matrix"),
                    "judges": _list(_ref("Judge")),
                    "counts": _ref("Counts"),
                    "costs": _ref("Costs"),
                    "reliability": _object(
                        **_RELIABILITY,
                        split_half=_maybe(_object(by_judges=_HALVES, by_decisions=_HALVES)),
                        growth=_described(
                            "After each tenth of the decisions, in the order of the log",
                            _list(
                                _object(
                                    decisions=_COUNT,
                                    items=_COUNT,
                                    components=_COUNT,
                                    ssr=_MAYBE_NUMBER,
                                    separation_g=_MAYBE_NUMBER,
                                )
                            ),
                        ),
                    ),
                    "agreement": _maybe(_ref("Agreement")),
                    "misfits": _described(
                        "Infit above mean + 2 sd, the worst first",
                        _object(
                            judge_limit=_MAYBE_NUMBER,
                            judges=_list(_object(judge=_TEXT, infit=_NUMBER)),
                            item_limit=_MAYBE_NUMBER,
                            items=_list(_object(item=_TEXT, infit=_NUMBER)),
                        ),
                    ),
                    "next_pairs": _described(
                        "The pairs whose next decision takes most off the sum of se squared; null: joins components",
                        _list(_object(first=_TEXT, second=_TEXT, expected_reduction=_MAYBE_NUMBER)),
                    ),
                },
            },
        ],
    },
    "DecisionPage": _object(
        job_id=_TEXT,
        batch_id=_MAYBE_TEXT,
        state=_STATE,
        provenance={
            "description": "What the answer was computed from; the same position and versions give the same bytes",
            "type": "object",
            "properties": {
                "position": _COUNT,
                "method": _TEXT,
                "method_version": _TEXT,
                "answer_version": _COUNT,
                "decisions_counted": _COUNT,
                "decisions_failed": _COUNT,
            },
            "required": ["position"],
        },
        decisions=_list(_ref("Decision")),
        next_cursor=_MAYBE_TEXT,
    ),
    "Decision": _object(
        request_id=_TEXT,
        outcome={"type": "string", "enum": list(Outcome)},
        judge=_described("The judge's own name, or provider/model", _TEXT),
        provider=_TEXT,
        model=_TEXT,
        essay_a_id=_TEXT,
        essay_b_id=_TEXT,
        winner={"type": ["string", "null"], "enum": ["essay_a", "essay_b", None]},
        confidence=_described("1 to 5", _MAYBE_NUMBER),
        justification=_MAYBE_TEXT,
        error_code=_MAYBE_TEXT,
        error=_MAYBE_FREE,
        response_time_ms=_COUNT,
        **_TOKENS,
        cost_usd=_NUMBER,
        requested_at=_TIME,
        completed_at=_TIME,
        request_metadata=_FREE,
        provenance=_object(**_SOURCE, correlation_id=_MAYBE_TEXT, received_at=_TIME),
    ),
    "PublishedResult": _described(
        "As upstream published it, anchors included",
        _object(
            method=_TEXT,
            model_used=_TEXT,
            model_provider=_TEXT,
            model_version=_MAYBE_TEXT,
            assignment_id=_MAYBE_TEXT,
            assessed_at=_TIME,
            results=_list(_FREE),
            metadata=_FREE,
            provenance=_object(**_SOURCE),
        ),
    ),
    "Item": _object(
        item=_TEXT,
        is_anchor=_TRUTH,
        published=_described("Upstream's own line, where its result has one", _MAYBE_FREE),
        **_PLACE,
        infit=_MAYBE_NUMBER,
        outfit=_MAYBE_NUMBER,
        comparisons=_COUNT,
        wins=_COUNT,
        flagged=_described("Infit above mean + 2 sd", _TRUTH),
    ),
    "Matrix": _object(
        items=_SENTENCES,
        pairs=_described(
            "[a, b, judged, a_wins]: a and b are places in `items`, a before b; equal: a text met itself",
            _list({"type": "array", "items": _COUNT, "minItems": 4, "maxItems": 4}),
        ),
    ),
    "Judge": _object(
        judge=_TEXT,
        decisions=_COUNT,
        failures=_COUNT,
        infit=_MAYBE_NUMBER,
        outfit=_MAYBE_NUMBER,
        flagged=_TRUTH,
        mean_confidence=_MAYBE_NUMBER,
        mean_response_time_ms=_MAYBE_NUMBER,
        costs=_ref("Costs"),
    ),
    "Counts": _object(decisions=_COUNT, failures=_COUNT, items=_COUNT, anchors=_COUNT, judges=_COUNT),
    "Costs": _object(usd=_MAYBE_NUMBER, **_TOKENS),
    "Agreement": _object(
        overall=_object(**_RATE),
        judges=_list(_object(judge=_TEXT, **_RATE)),
        judge_pairs=_described(
            "Those who share the most pairs; `judge_pairs_in_all` counts all",
            _list(_object(first=_TEXT, second=_TEXT, **_RATE)),
        ),
        judge_pairs_in_all=_COUNT,
    ),
    "Summary": _object(
        batch_id=_TEXT,
        jobs=_described("The one with the newest event first", _list(_ref("SummaryJob"))),
        provenance=_object(position=_COUNT, jobs=_list(_object(job_id=_TEXT, position=_COUNT))),
    ),
    "SummaryJob": _object(
        job_id=_TEXT,
        state=_STATE,
        method=_MAYBE_TEXT,
        model=_MAYBE_TEXT,
        provider=_MAYBE_TEXT,
        model_version=_MAYBE_TEXT,
        assessed_at=_MAYBE_TIME,
        reliability=_object(**_RELIABILITY),
        ranking=_list(
            _object(
                item=_TEXT,
                is_anchor=_TRUTH,
                **_PLACE,
                comparisons=_COUNT,
                wins=_COUNT,
                published_rank=_MAYBE_COUNT,
                letter_grade=_MAYBE_TEXT,
            )
        ),
        counts=_ref("Counts"),
        costs=_ref("Costs"),
        misfits=_object(items=_SENTENCES, judges=_SENTENCES),
        provenance=_FREE,
    ),
    **{name: QUERY_SCHEMAS[name] for name in ("Health", "Problem")},
}
