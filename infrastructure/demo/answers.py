"""What judges say: the language models' answers behind a batch's ranking, and any number for benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from random import Random
from typing import Final

from application import topics
from infrastructure.demo.message import SOURCES, Json, UpstreamMessage, enveloped, wire_time
from infrastructure.demo.script import START, BatchScript, draw_uuid, seeded

_MODELS: Final = ("synthetic-model-1", "synthetic-model-2")
_JUDGES_NOISE_SD: Final = 0.5
"""How far, in logits, a judge's view of a difference is from the published scores: close calls go either way."""

_FAILURE_SHARE: Final = 0.02


def judging_messages(
    script: BatchScript, results: Sequence[Json], *, begins: datetime, ends: datetime
) -> Iterator[UpstreamMessage]:
    """Yield answers to each pair of `results`, mostly as their scores have it, completed before `ends`.

    A request that fails is made again under a new request id, as upstream does.
    """
    dice = seeded(script.seed, "judges")
    scores = {result["essay_id"]: result["bt_score"] for result in results}
    pairs = [dice.sample(pair, 2) for pair in combinations(scores, 2)]
    dice.shuffle(pairs)
    for number, (one, other) in enumerate(pairs):
        done_at = begins + (ends - begins) * (number + 1) / (len(pairs) + 1)
        seen = scores[one] - scores[other] + dice.gauss(0, _JUDGES_NOISE_SD)
        if dice.random() < _FAILURE_SHARE:
            yield _answer(dice, script.batch_id, script.job_id, (one, other), done_at, winner=None)
        winner = "Essay A" if seen > 0 else "Essay B"
        yield _answer(dice, script.batch_id, script.job_id, (one, other), done_at, winner=winner)


def answers(seed: int, decisions: int, *, essays: int = 100, job_id: str = "164") -> Iterator[bytes]:
    """Yield the values of `decisions` messages of one job; every 50th is an error, and nobody is better."""
    dice = seeded(seed, "answers")
    texts = [f"essay-{number:04}" for number in range(essays)]
    for number in range(decisions):
        winner = None if number % 50 == 49 else dice.choice(["Essay A", "Essay B"])
        done_at = START + timedelta(milliseconds=100 * number)
        one, other = dice.sample(texts, 2)
        yield _answer(dice, "b1", job_id, (one, other), done_at, winner=winner).value


def _answer(
    dice: Random, batch_id: str, job_id: str, pair: tuple[str, str], done_at: datetime, *, winner: str | None
) -> UpstreamMessage:
    correlation_id = draw_uuid(dice)
    response_ms = dice.randint(1500, 9000)
    prompt, completion = dice.randint(900, 2000), dice.randint(30, 130)
    error = None if winner else _error(correlation_id, done_at)
    data = {
        "request_id": draw_uuid(dice),
        "correlation_id": correlation_id,
        "winner": winner,
        "justification": f"synthetic reason {dice.getrandbits(32):08x}" if winner else None,
        "confidence": round(dice.uniform(1, 5), 3) if winner else None,
        "error_detail": error,
        "provider": "mock",
        "model": dice.choice(_MODELS),
        "response_time_ms": response_ms,
        "token_usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
        "cost_estimate": round(prompt * 3e-6 + completion * 15e-6, 6),
        "requested_at": wire_time(done_at - timedelta(milliseconds=response_ms)),
        "completed_at": wire_time(done_at),
        "trace_id": None,
        "request_metadata": {
            "essay_a_id": pair[0],
            "essay_b_id": pair[1],
            "bos_batch_id": batch_id,
            "cj_batch_id": job_id,
            "cj_source": "els",
            "cj_request_type": "cj_comparison",
            "cj_llm_batching_mode": "per_request",
            "prompt_sha256": f"{dice.getrandbits(256):064x}",
        },
    }
    return enveloped(
        topics.COMPARISON_RESULT,
        None,
        data=data,
        metadata=None,
        event_id=draw_uuid(dice),
        correlation_id=correlation_id,
        sent_at=done_at + timedelta(milliseconds=3),
    )


def _error(correlation_id: str, at: datetime) -> Json:
    return {
        "error_code": "TIMEOUT",
        "message": "synthetic: no answer in time",
        "correlation_id": correlation_id,
        "timestamp": wire_time(at),
        "service": SOURCES[topics.COMPARISON_RESULT],
        "operation": "process_comparison",
        "details": {"provider": "mock", "retryable": True},
        "stack_trace": None,
        "trace_id": None,
        "span_id": None,
    }
