"""JSON Schemas (2020-12) of the assessment app's bodies, as OpenAPI 3.1 components."""

from __future__ import annotations

from typing import Any, Final

from application.assessments import Outcome
from domain.judge_limits import Verdict
from domain.next_pairs import Reason
from domain.notices import Kind
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
_SHARE: Final = _object(
    hits=_NUMBER,
    n=_COUNT,
    share=_MAYBE_NUMBER,
    lower=_described("95 % interval", _MAYBE_NUMBER),
    upper=_MAYBE_NUMBER,
)
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
    "notes": _described("What else was found, in sentences", _SENTENCES),
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
                        _list(
                            _object(
                                first=_TEXT,
                                second=_TEXT,
                                expected_reduction=_MAYBE_NUMBER,
                                reason={"type": "string", "enum": list(Reason)},
                            )
                        ),
                    ),
                    "findings": _maybe(_ref("Findings")),
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
        se_full=_described("Standard error by the whole covariance matrix", _MAYBE_NUMBER),
        best_rank=_described("95 % interval of the rank, by the whole covariance matrix", _MAYBE_COUNT),
        worst_rank=_MAYBE_COUNT,
        theta_firth=_described("Penalised score (Firth, Jeffreys' prior)", _MAYBE_NUMBER),
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
        flagged=_described("Infit above mean + 2 sd, or verdict contrary or deviating", _TRUTH),
        mean_confidence=_MAYBE_NUMBER,
        mean_response_time_ms=_MAYBE_NUMBER,
        costs=_ref("Costs"),
    ),
    "Findings": {
        "description": "What was checked of the session; `docs/comparative-judgement.md` explains each figure",
        **_object(
            notices=_list(_object(kind={"type": "string", "enum": list(Kind)}, warning=_TRUTH, text=_TEXT)),
            forward_test=_object(
                correct=_SHARE,
                promised_share=_MAYBE_NUMBER,
                log_score=_MAYBE_NUMBER,
                log_score_lower=_MAYBE_NUMBER,
                log_score_upper=_MAYBE_NUMBER,
                promised_log_score=_MAYBE_NUMBER,
                p_value=_MAYBE_NUMBER,
                better_than_chance=_described(
                    "null: too few decisions to tell", {"type": ["boolean", "null"]}
                ),
                refits=_COUNT,
            ),
            adaptivity=_object(
                ratio_at_the_time=_described("1: pairs were as far apart as random ones", _MAYBE_NUMBER),
                z=_MAYBE_NUMBER,
                ratio_by_final_scores=_MAYBE_NUMBER,
                adaptive={"type": ["boolean", "null"]},
            ),
            items=_list(
                _object(
                    item=_TEXT,
                    se_full=_NUMBER,
                    lower=_NUMBER,
                    upper=_NUMBER,
                    rank=_COUNT,
                    best_rank=_COUNT,
                    worst_rank=_COUNT,
                    above_next=_described("Distance to the next lower item, logits", _MAYBE_NUMBER),
                    above_next_se=_MAYBE_NUMBER,
                    above_next_lower=_MAYBE_NUMBER,
                    above_next_upper=_MAYBE_NUMBER,
                    theta_firth=_NUMBER,
                )
            ),
            weak_links=_list(
                _object(
                    one_side=_SENTENCES,
                    one_side_size=_COUNT,
                    other_side=_SENTENCES,
                    other_side_size=_COUNT,
                    decisions=_COUNT,
                    pairs=_list(_SENTENCES),
                    shift_se=_described("Standard error of moving one side against the other", _NUMBER),
                    bridge=_TRUTH,
                )
            ),
            separation=_object(
                won_all=_SENTENCES,
                lost_all=_SENTENCES,
                sets=_list(
                    _object(
                        winners=_SENTENCES,
                        winners_size=_COUNT,
                        losers=_SENTENCES,
                        losers_size=_COUNT,
                        decisions=_COUNT,
                    )
                ),
            ),
            position=_maybe(
                _object(
                    known=_COUNT,
                    unknown=_COUNT,
                    first=_SHARE,
                    p_value=_MAYBE_NUMBER,
                    delta=_described("Advantage of the first-shown text, logits", _MAYBE_NUMBER),
                    delta_se=_MAYBE_NUMBER,
                    delta_lower=_MAYBE_NUMBER,
                    delta_upper=_MAYBE_NUMBER,
                    matters=_TRUTH,
                    judges=_list(
                        _object(
                            judge=_TEXT,
                            first=_SHARE,
                            p_value=_MAYBE_NUMBER,
                            both_orders=_COUNT,
                            same_choice=_SHARE,
                            flagged=_TRUTH,
                        )
                    ),
                    items=_list(_object(item=_TEXT, theta_without=_NUMBER, theta_with=_NUMBER)),
                )
            ),
            judges=_list(
                _object(
                    judge=_TEXT,
                    agreement=_described("With the scores that all other judges made", _SHARE),
                    agreement_limit=_MAYBE_NUMBER,
                    infit=_NUMBER,
                    infit_limit=_MAYBE_NUMBER,
                    verdict={"type": "string", "enum": list(Verdict)},
                )
            ),
            ties=_maybe(_object(ties=_COUNT, decisions=_COUNT, tie_parameters=_list(_NUMBER))),
            look_alikes=_object(items=_list(_SENTENCES), judges=_list(_SENTENCES)),
        ),
    },
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
