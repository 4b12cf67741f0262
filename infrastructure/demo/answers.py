"""Judges' answers in upstream's wire form: one job, as many as asked for; nobody wins for being better."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

import orjson

_BEGIN: Final = datetime(2026, 3, 7, 9, tzinfo=UTC)


def answers(seed: int, decisions: int, *, essays: int = 100, job_id: str = "164") -> Iterator[bytes]:
    """Yield the values of comparison messages; every 50th answer is an error."""
    dice = Random(seed)  # noqa: S311 - synthetic data, the same each time
    texts = [f"essay-{number:04}" for number in range(essays)]
    for number in range(decisions):
        asked_at = _BEGIN + timedelta(milliseconds=100 * number)
        response_ms = dice.randint(1500, 9000)
        done_at = asked_at + timedelta(milliseconds=response_ms)
        correlation_id = _uuid(dice)
        one, other = dice.sample(texts, 2)
        answer: dict[str, object] = {
            "winner": dice.choice(["Essay A", "Essay B"]),
            "justification": f"synthetic reason {number:08x}, of about the length that a model writes down",
            "confidence": round(dice.uniform(1, 5), 3),
            "error_detail": None,
        }
        if number % 50 == 49:
            error = {
                "error_code": "LLM_PROVIDER_TIMEOUT",
                "message": "no answer in time",
                "correlation_id": correlation_id,
                "timestamp": done_at,
                "service": "llm_provider_service",
                "operation": "compare",
                "details": {"attempt": 3},
            }
            answer = dict.fromkeys(("winner", "justification", "confidence"), None) | {"error_detail": error}
        prompt, completion = dice.randint(900, 2000), dice.randint(30, 130)
        data = {
            "request_id": _uuid(dice),
            "correlation_id": correlation_id,
            **answer,
            "provider": "mock",
            "model": "synthetic-model-1",
            "response_time_ms": response_ms,
            "token_usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
            "cost_estimate": round(prompt * 3e-6 + completion * 15e-6, 6),
            "requested_at": asked_at,
            "completed_at": done_at,
            "trace_id": None,
            "request_metadata": {
                "essay_a_id": one,
                "essay_b_id": other,
                "bos_batch_id": "b1",
                "cj_batch_id": job_id,
                "cj_source": "els",
                "cj_request_type": "cj_comparison",
                "prompt_sha256": f"{number:064x}",
            },
        }
        envelope = {
            "event_id": _uuid(dice),
            "event_type": "LLMComparisonResultV1",
            "event_timestamp": done_at,
            "source_service": "llm_provider_service",
            "schema_version": 1,
            "correlation_id": correlation_id,
            "data_schema_uri": None,
            "data": data,
            "metadata": None,
        }
        yield orjson.dumps(envelope, option=orjson.OPT_UTC_Z)


def _uuid(dice: Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))
