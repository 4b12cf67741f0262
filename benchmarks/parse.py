"""Parsing: what reading one message of each topic costs, strict validation included.

    python -m benchmarks.parse

The baseline is `json.loads` of the standard library, which validates nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from application.messages import IncomingMessage
from application.topics import COMPARISON_RESULT
from application.translate import translate
from benchmarks.report import report
from infrastructure.demo.answers import answers
from infrastructure.demo.stream import bulk

_ROUNDS = 2000
_RUNS = 5


def main() -> None:
    """Measure and report."""
    received_at = datetime.now(UTC)
    samples: dict[str, tuple[bytes | None, bytes]] = {
        topic: (key, value) for topic, key, value in bulk(1, 1, 30)
    }
    samples[COMPARISON_RESULT] = None, next(answers(1, 1))
    rows = []
    for topic, (key, value) in sorted(samples.items()):
        message = IncomingMessage(topic, 0, 0, 0, key, value)
        mine = _best_us(lambda message=message: translate(message, received_at=received_at))  # type: ignore[misc]
        plain = _best_us(lambda value=value: json.loads(value))  # type: ignore[misc]
        rows.append(
            {
                "topic": topic,
                "bytes": len(value),
                "translate µs": mine,
                "json.loads µs": plain,
                "ratio": mine / plain,
            }
        )
    report("parse", "One message, from bytes to command", rows, notes=[f"Best of {_RUNS} runs."])


def _best_us(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_RUNS):
        begun = time.perf_counter()
        for _ in range(_ROUNDS):
            call()
        best = min(best, (time.perf_counter() - begun) / _ROUNDS * 1e6)
    return best


if __name__ == "__main__":
    main()
