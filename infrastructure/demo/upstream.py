"""One batch in upstream's own words: every message its services send, byte for byte in their form.

A value has every field of its contract, nulls included, as upstream's writers give them. Two times
differ in each message: the one in the data, when the fact happened, and `event_timestamp`, when the
relay sent it, a little later.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from application import topics
from domain.values import BatchStatus, Phase
from infrastructure.demo.answers import judging_messages
from infrastructure.demo.judging import assessment_metadata, essay_results
from infrastructure.demo.language import language_analysis
from infrastructure.demo.message import SOURCES, Json, UpstreamMessage, enveloped, sent_again, wire_time
from infrastructure.demo.script import BatchScript, draw_storage_id, draw_uuid, seeded

__all__ = ["BatchScript", "UpstreamMessage", "batch_messages", "sent_again"]

_NO_CORRECTIONS: Final = {
    "total_corrections": 0,
    "l2_dictionary_corrections": 0,
    "spellchecker_corrections": 0,
    "word_count": 0,
    "correction_density": 0.0,
}


def batch_messages(script: BatchScript) -> list[UpstreamMessage]:
    """Return the messages of the batch in the order of sending. The same script gives the same bytes."""
    return sorted(_Writer(script).messages(), key=lambda message: message.sent_at)


class _Writer:
    """Upstream's services at work on one batch. `_now` moves on from fact to fact."""

    def __init__(self, script: BatchScript) -> None:
        self._script = script
        self._dice = seeded(script.seed, "messages")
        self._now = script.starts_at
        self._text_ids: dict[str, str] = {}
        self._corrected_text_ids: dict[str, str] = {}

    def messages(self) -> Iterator[UpstreamMessage]:
        """Write everything, service after service; retried spellchecks come out of order."""
        script = self._script
        yield self._registration()
        for number, essay_id in enumerate(script.essay_ids, start=1):
            yield self._slot(essay_id, number)
        yield from self._spellchecks()
        if script.all_failed:
            yield self._phase_outcome(Phase.SPELLCHECK, BatchStatus.FAILED_CRITICALLY)
            return
        yield self._phase_outcome(
            Phase.SPELLCHECK,
            BatchStatus.COMPLETED_WITH_FAILURES
            if script.failed_essay_ids
            else BatchStatus.COMPLETED_SUCCESSFULLY,
        )
        if script.analysed:
            for essay_id in script.surviving_essay_ids:
                yield language_analysis(
                    script, essay_id, self._corrected_text_ids[essay_id], begins=self._now
                )
        if script.assessed:
            begins = self._now
            assessment, results = self._assessment()
            if script.judged:
                yield from judging_messages(script, results, begins=begins, ends=self._now)
            yield assessment
            yield self._phase_outcome(Phase.CJ_ASSESSMENT, BatchStatus.COMPLETED_SUCCESSFULLY)
        yield self._pipeline_completed()

    def _registration(self) -> UpstreamMessage:
        script = self._script
        prompt = script.prompt_storage_id
        data = {
            "event": "batch.essays.registered",
            "entity_id": script.batch_id,
            "expected_essay_count": len(script.essay_ids),
            "essay_ids": script.essay_ids,
            "metadata": self._batch_work("batch.essays.registered"),
            "course_code": script.course_code,
            "student_prompt_ref": prompt
            and {"references": {"student_prompt_text": {"storage_id": prompt, "path": ""}}},
            "user_id": script.user_id,
            "org_id": None,
            "class_id": script.class_id,
        }
        return self._send(topics.BATCH_ESSAYS_REGISTERED, script.batch_id, data, self._trace_or_none())

    def _slot(self, essay_id: str, number: int) -> UpstreamMessage:
        self._pass(0.05, 0.9)
        self._text_ids[essay_id] = draw_storage_id(self._dice)
        data = {
            "event": "essay.slot.assigned",
            "batch_id": self._script.batch_id,
            "essay_id": essay_id,
            "file_upload_id": f"upload-{self._dice.getrandbits(64):016x}",
            "text_storage_id": self._text_ids[essay_id],
            "original_file_name": f"essay-{number:02d}.docx",
            "correlation_id": self._script.correlation_id,
            "timestamp": wire_time(self._now),
        }
        return self._send(topics.ESSAY_SLOT_ASSIGNED, essay_id, data, self._trace())

    def _spellchecks(self) -> Iterator[UpstreamMessage]:
        script = self._script
        last = self._now
        for essay_id in self._dice.sample(script.essay_ids, len(script.essay_ids)):
            self._pass(0.05, 0.9)
            checked_at = self._now
            if essay_id in script.failed_essay_ids:
                yield self._spellcheck_failure(essay_id, checked_at)
            else:
                if essay_id in script.rechecked_essay_ids:
                    yield self._spellcheck_failure(essay_id, checked_at)
                    checked_at += timedelta(seconds=self._dice.uniform(2, 20))
                yield self._spellcheck_success(essay_id, checked_at)
            last = max(last, checked_at)
        self._now = last

    def _spellcheck_success(self, essay_id: str, at: datetime) -> UpstreamMessage:
        corrections = self._dice.randint(3, 39)
        by_dictionary = self._dice.randint(0, min(7, corrections))
        words = self._dice.randint(300, 800)
        self._corrected_text_ids[essay_id] = draw_storage_id(self._dice)
        metrics = {
            "total_corrections": corrections,
            "l2_dictionary_corrections": by_dictionary,
            "spellchecker_corrections": corrections - by_dictionary,
            "word_count": words,
            "correction_density": round(100 * corrections / words, 2),
        }
        work = {"processing_stage": "completed", "event": "essay.spellcheck.completed", "error_info": {}}
        return self._spellcheck(essay_id, at, "spellchecked_success", work, metrics)

    def _spellcheck_failure(self, essay_id: str, at: datetime) -> UpstreamMessage:
        error_info = {
            "error_code": "CONTENT_SERVICE_ERROR",
            "error_message": "synthetic failure: text not readable",
            "correlation_id": self._script.correlation_id,
            "timestamp": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "service": SOURCES[topics.SPELLCHECK_RESULTS],
            "details": {"http_status": 502},
        }
        work = {"processing_stage": "failed", "event": "spellcheck.phase.completed", "error_info": error_info}
        return self._spellcheck(essay_id, at, "spellcheck_failed", work, _NO_CORRECTIONS)

    def _spellcheck(
        self, essay_id: str, at: datetime, status: str, work: Json, metrics: Json
    ) -> UpstreamMessage:
        batch_id = self._script.batch_id
        duration_ms = self._dice.randint(200, 4000)
        started_at = wire_time(at - timedelta(milliseconds=duration_ms))
        data = {
            "event_name": "essay.spellcheck.completed",
            "entity_id": essay_id,
            "entity_type": "essay",
            "parent_id": batch_id,
            "timestamp": wire_time(at),
            "status": status,
            "system_metadata": {
                "entity_id": essay_id,
                "entity_type": "essay",
                "parent_id": batch_id,
                "timestamp": started_at,
                "processing_stage": work["processing_stage"],
                "started_at": started_at,
                "completed_at": wire_time(at),
                "event": work["event"],
                "error_info": work["error_info"],
            },
            "batch_id": batch_id,
            "correlation_id": self._script.correlation_id,
            "user_id": None,
            "corrections_made": metrics["total_corrections"],
            "correction_metrics": metrics,
            "original_text_storage_id": self._text_ids[essay_id],
            "corrected_text_storage_id": (
                self._corrected_text_ids[essay_id] if status == "spellchecked_success" else None
            ),
            "processing_duration_ms": duration_ms,
            "processor_version": "pyspellchecker_1.0_L2_swedish",
        }
        metadata = {**self._trace(), "partition_key": essay_id}
        return self._send(topics.SPELLCHECK_RESULTS, essay_id, data, metadata, at=at)

    def _phase_outcome(self, phase: Phase, status: BatchStatus) -> UpstreamMessage:
        self._pass(0.1, 1.0)
        script = self._script
        failed = script.failed_essay_ids if phase is Phase.SPELLCHECK else frozenset()
        data = {
            "batch_id": script.batch_id,
            "phase_name": phase.value,
            "phase_status": status.value,
            "processed_essays": [
                {
                    "essay_id": essay_id,
                    "text_storage_id": self._corrected_text_ids[essay_id],
                    "spellcheck_metrics": None,
                }
                for essay_id in script.surviving_essay_ids
            ],
            "failed_essay_ids": [essay_id for essay_id in script.essay_ids if essay_id in failed],
            "correlation_id": script.correlation_id,
        }
        return self._send(topics.BATCH_PHASE_OUTCOME, script.batch_id, data, self._trace_or_none())

    def _assessment(self) -> tuple[UpstreamMessage, list[Json]]:
        self._pass(5, 60)
        script = self._script
        results = essay_results(script, self._dice)
        data = {
            "event_name": "assessment.result.published",
            "entity_id": script.batch_id,
            "entity_type": "batch",
            "parent_id": None,
            "timestamp": wire_time(self._now),
            "batch_id": script.batch_id,
            "cj_assessment_job_id": script.job_id,
            "assignment_id": script.assignment_id,
            "assessment_method": "cj_assessment",
            "model_used": "synthetic-model-1",
            "model_provider": "mock",
            "model_version": None,
            "essay_results": results,
            "assessment_metadata": assessment_metadata(script, self._dice, results),
            "assessed_at": wire_time(self._now),
        }
        return self._send(topics.ASSESSMENT_RESULT, script.job_id, data, self._trace()), results

    def _pipeline_completed(self) -> UpstreamMessage:
        """Write the orchestrator's report, which counts every essay as a success even where some failed."""
        self._pass(0.1, 0.6)
        script = self._script
        phases = [Phase.SPELLCHECK.value, *([Phase.CJ_ASSESSMENT.value] if script.assessed else [])]
        status = BatchStatus.COMPLETED_SUCCESSFULLY.value
        data = {
            "event": "batch.pipeline.completed",
            "batch_id": script.batch_id,
            "completed_phases": phases,
            "final_status": status,
            "processing_duration_seconds": (self._now - script.starts_at).total_seconds(),
            "successful_essay_count": len(script.essay_ids),
            "failed_essay_count": 0,
            "correlation_id": script.correlation_id,
            "metadata": self._batch_work("batch.pipeline.completed"),
        }
        metadata = {"batch_id": script.batch_id, "completed_phases": phases, "final_status": status}
        return self._send(topics.BATCH_PIPELINE_COMPLETED, script.batch_id, data, metadata)

    def _batch_work(self, event: str) -> Json:
        return {
            "entity_id": self._script.batch_id,
            "entity_type": "batch",
            "parent_id": None,
            "timestamp": wire_time(self._now),
            "processing_stage": None,
            "started_at": None,
            "completed_at": None,
            "event": event,
            "error_info": {},
        }

    def _trace(self) -> Json:
        trace_id, span_id = self._dice.getrandbits(128), self._dice.getrandbits(64)
        return {"traceparent": f"00-{trace_id:032x}-{span_id:016x}-01"}

    def _trace_or_none(self) -> Json | None:
        return self._trace() if self._dice.random() < 0.5 else None

    def _pass(self, least_s: float, most_s: float) -> None:
        self._now += timedelta(seconds=self._dice.uniform(least_s, most_s))

    def _send(
        self, topic: str, key: str, data: Json, metadata: Json | None, *, at: datetime | None = None
    ) -> UpstreamMessage:
        return enveloped(
            topic,
            key,
            data=data,
            metadata=metadata,
            event_id=draw_uuid(self._dice),
            correlation_id=self._script.correlation_id,
            sent_at=(at or self._now) + timedelta(milliseconds=self._dice.randint(1, 80)),
        )
