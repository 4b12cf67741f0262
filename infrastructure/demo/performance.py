"""The demonstration: plays the stream, reads the output, asks the API, and judges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Final
from uuid import UUID

from application.topics import TEACHER_NOTIFICATION_REQUESTED
from infrastructure.demo.display import Display
from infrastructure.demo.gauge import Gauge, Stages, StalledError
from infrastructure.demo.ledger import read_ledger
from infrastructure.demo.observer import Observer
from infrastructure.demo.player import Player
from infrastructure.demo.questions import Enquirer
from infrastructure.demo.stream import Scenario
from infrastructure.demo.verdict import Disagreement, Evidence, Verdict, judge
from infrastructure.local.deployment import Deployment

_MOST_UNREAD_MESSAGES: Final = 1000
"""The embedded broker drops the oldest records of a partition beyond 5 MB without a word. So many
messages of a stream hold some 2 MB, over all partitions together, and fill the largest micro-batch."""

_MOST_UNHEARD_RECORDS: Final = 400
"""The same for what comes out, where the ranking of a large class is the largest record, of some 15 kB."""

_LISTEN_ON_S: Final = 1.0
"""How long to go on listening when everything has come: what comes twice may come late."""

_TEACHERS_ASKED: Final = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """When things happened, in `perf_counter` seconds.

    `latencies_s` has an entry for each notification: from handing its cause, an upstream message, to
    the producer until a consumer had the notification.
    """

    began_at: float
    taken_in_at: float
    last_heard_at: float
    latencies_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Performance:
    """What was played and seen, and what is to be thought of it."""

    scenario: Scenario
    evidence: Evidence
    verdict: Verdict
    timing: Timing


async def perform(
    deployment: Deployment, scenario: Scenario, display: Display, *, headers: dict[str, str]
) -> Performance:
    """Play `scenario` through a running deployment; `headers` are those that the API asks for.

    Raises KafkaError or psycopg.Error when a server becomes unavailable. A stream that stops half-way is not an
    error but a disagreement: the verdict then also names what is missing.
    """
    servers = deployment.servers
    player = Player(servers.bootstrap_servers)
    observer = Observer(servers.bootstrap_servers)
    gauge = Gauge(
        servers.database_url,
        sent=lambda: player.acknowledged,
        heard=lambda: len(observer.heard),
        on_reading=display.show,
    )
    messages = await _count(scenario)
    display.say(f"Playing {messages:,} messages of {len(scenario.scripts):,} batches …")
    display.expect(messages)
    stalled: str | None = None
    began_at = taken_in_at = perf_counter()
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(observer.run()), group.create_task(gauge.run())]
        try:
            await player.play(scenario, lambda number: gauge.until(lambda at: _has_room(at, number)))
            await gauge.until(lambda at: at.taken_in >= player.acknowledged)
            taken_in_at = perf_counter()
            await gauge.until(lambda at: at.heard >= at.due)
            await gauge.until_projected()
            await asyncio.sleep(_LISTEN_ON_S)
        except StalledError as error:
            stalled = str(error)
        display.say(f"Checking {len(scenario.scripts)} batches …")
        evidence = await _evidence(deployment, scenario, player, observer, headers)
        for task in background:
            task.cancel()
    verdict = judge(evidence)
    if stalled:
        verdict.disagreements.insert(0, Disagreement(None, stalled))
    timing = Timing(
        began_at,
        taken_in_at,
        max((record.heard_at for record in evidence.heard), default=began_at),
        tuple(_latencies(evidence, player)),
    )
    return Performance(scenario, evidence, verdict, timing)


async def _count(scenario: Scenario) -> int:
    """Count the messages without keeping them, in pieces, so that others have their turns."""
    number = 0
    for number, _ in enumerate(scenario, start=1):
        if number % 200 == 0:
            await asyncio.sleep(0)
    return number


def _has_room(at: Stages, number: int) -> bool:
    return number - at.taken_in <= _MOST_UNREAD_MESSAGES and at.due - at.heard <= _MOST_UNHEARD_RECORDS


async def _evidence(
    deployment: Deployment, scenario: Scenario, player: Player, observer: Observer, headers: dict[str, str]
) -> Evidence:
    expected = scenario.expected
    teachers = list(dict.fromkeys(batch.user_id for batch in expected.values()))[:_TEACHERS_ASKED]
    async with Enquirer(deployment.api, headers) as enquirer:
        statuses = await enquirer.statuses(expected)
        listings = await enquirer.listings(teachers)
        inboxes = await enquirer.inboxes(teachers)
    return Evidence(
        expected=expected,
        sent=player.acknowledged,
        heard=tuple(observer.heard),
        statuses=statuses,
        listings=listings,
        inboxes=inboxes,
        ledger=await read_ledger(deployment.servers.database_url),
    )


def _latencies(evidence: Evidence, player: Player) -> Iterator[float]:
    """Yield a latency for each notification whose cause is known; repeats do not count."""
    measured: set[UUID] = set()
    for record in evidence.heard:
        if record.topic != TEACHER_NOTIFICATION_REQUESTED:
            continue
        event_id = UUID(dict(record.headers)["event_id"].decode())
        cause = evidence.ledger.due.get(event_id)
        if cause in player.handed_over_at and event_id not in measured:
            measured.add(event_id)
            yield record.heard_at - player.handed_over_at[cause]
