"""Checks that each event may be where it is in its stream, by rules that hold for all streams.

An announcement is checked by a replay of the facts (`announcement_check.py`). Here is what a replay does not
show, because folding never fails: an event of another kind of stream, or one that no aggregate would have recorded
where it stands, such as a letter that is settled twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from domain.aggregate import DomainEvent
from domain.assessment import assessment_stream_id
from domain.assessment_events import AssessmentResultRecorded, JudgeDecisionFailed, JudgeDecisionRecorded
from domain.batch import BATCH_STREAMS
from domain.batch_events import MessageDrained, MessageParked
from domain.dead_letters import (
    DeadLetterDiscarded,
    DeadLetterReplaced,
    DeadLetterRetried,
    MessageDeadLettered,
    RetryOutcome,
)
from domain.inbox import NotificationRead, inbox_stream_id
from domain.language_analysis import ANALYSIS_STREAMS, LanguageAnalysisRecorded

_ASSESSMENT: Final = assessment_stream_id("")
_DEAD_LETTER: Final = "dead-letter-"
_INBOX: Final = "inbox-"

_KINDS: Final[dict[type[DomainEvent], tuple[str, ...]]] = {
    JudgeDecisionRecorded: (_ASSESSMENT,),
    JudgeDecisionFailed: (_ASSESSMENT,),
    AssessmentResultRecorded: (_ASSESSMENT,),
    LanguageAnalysisRecorded: (ANALYSIS_STREAMS,),
    MessageParked: (BATCH_STREAMS, _ASSESSMENT, ANALYSIS_STREAMS),
    MessageDrained: (BATCH_STREAMS, _ASSESSMENT, ANALYSIS_STREAMS),
    MessageDeadLettered: (_DEAD_LETTER,),
    DeadLetterRetried: (_DEAD_LETTER,),
    DeadLetterReplaced: (_DEAD_LETTER,),
    DeadLetterDiscarded: (_DEAD_LETTER,),
    NotificationRead: (_INBOX,),
}
"""The kinds of streams, by how their ids begin, in which events may stand that are not a batch's own."""


class EventPlaces:
    """The check of one stream, fed with its events in version order, from the first on."""

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id
        self._is_put_aside = self._is_settled = self._is_read = False
        self._attempts = 0
        self._waiting: set[int] = set()
        self._parked: set[tuple[str, int, int, datetime]] = set()

    def take(self, event: DomainEvent) -> str | None:
        """Look at the next event; return what is wrong with its place, None if it may stand there."""
        if not self._stream_id.startswith(_KINDS.get(type(event), (BATCH_STREAMS,))):
            return "An event of this kind has no place in this stream."
        match event:
            case MessageDeadLettered():
                return self._put_aside(event)
            case DeadLetterRetried() | DeadLetterReplaced() | DeadLetterDiscarded():
                return self._settled(event)
            case NotificationRead():
                return self._read(event)
            case MessageParked():
                return self._park(event)
            case MessageDrained():
                return self._drained(event)
        return None

    def _put_aside(self, event: MessageDeadLettered) -> str | None:
        cause = event.causation
        if not self._stream_id.startswith(f"{_DEAD_LETTER}{cause.topic}-{cause.partition}-{cause.offset}-"):
            return "This letter holds another message than its stream is named after."
        was_put_aside, self._is_put_aside = self._is_put_aside, True
        return "A message is put aside once; this one was before." if was_put_aside else None

    def _settled(self, event: DeadLetterRetried | DeadLetterReplaced | DeadLetterDiscarded) -> str | None:
        if self._is_settled:
            return "This letter was settled before."
        if isinstance(event, DeadLetterRetried):
            self._attempts += 1
            self._is_settled = event.outcome is not RetryOutcome.REFUSED
            if event.attempt != self._attempts:
                return f"This is attempt {self._attempts} at the letter, and calls itself attempt {event.attempt}."
        else:
            self._is_settled = True
        return None

    def _read(self, event: NotificationRead) -> str | None:
        if self._stream_id != inbox_stream_id(event.notification_id):
            return "It marks another notification than its stream is named after."
        was_read, self._is_read = self._is_read, True
        return "This notification was marked as read before." if was_read else None

    def _park(self, event: MessageParked) -> str | None:
        cause = event.causation
        message = (cause.topic, cause.partition, cause.offset, cause.received_at)
        if message in self._parked:
            return "This message was parked here before."
        self._parked.add(message)
        self._waiting.add(event.originator_version)
        return None

    def _drained(self, event: MessageDrained) -> str | None:
        if event.parked_version not in self._waiting:
            return f"No message waits here as version {event.parked_version}."
        self._waiting.remove(event.parked_version)
        return None
