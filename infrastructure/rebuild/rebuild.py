"""Rebuilds read models beside the live ones, and rolls back.

Theory of operation. Each read model asked for gets a new side, filled from the log. A new side whose
version is that of the live one is filled as far as the live one is, and then the two are compared at one
pinned position: the live position is locked for the moment that it takes the new side to come to the
same place and a snapshot to be taken; the snapshot is compared while projector, ingest and API go on.
Where rows differ the switch is refused. Only then, and at once where there is nothing to compare with (a
new read model, another version), is the new side filled to the end of the log and made the live one.

Nothing here opens Kafka, and projections have no other effect than their rows: nothing is sent again.
An interruption at any point leaves the live side as it was; the half-built side and how far it has come
are in the database, and the next run goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from infrastructure.eventstore.codec import EventCodec
from infrastructure.postgres.connections import maintenance_engine
from infrastructure.rebuild import journal, sides
from infrastructure.rebuild.comparing import Comparison, compare
from infrastructure.rebuild.filling import LogReader, fill
from infrastructure.rebuild.journal import Build, Kept
from infrastructure.rebuild.outcomes import Rebuilt, Reporter, Silent, Speed, TurnedBack, Verdict
from infrastructure.rebuild.session import RebuildError, RefusedStretchError, only_session
from infrastructure.rebuild.states import State, Step
from infrastructure.rebuild.switching import locked_position, swap, turn
from infrastructure.rebuild.unwritable import named
from projections.projection import Projection

_NEAR: Final = 2_000
"""Events that a side may be behind when the live position is locked for it: a fraction of a second."""
_CHASES: Final = 20
PIN_WAIT_S: Final = 10


@dataclass
class Rebuilding:
    """One run. Calls block, and raise RebuildError with a sentence when it cannot be done."""

    database_url: str
    codec: EventCodec
    reporter: Reporter = field(default_factory=Silent)
    speed: Speed = field(default_factory=Speed)

    def rebuild(
        self, projections: Sequence[Projection], *, accept_differences: bool = False
    ) -> list[Rebuilt]:
        """Rebuild `projections` and return what became of each, those included that were refused.

        With `accept_differences` a side that differs from the live one is switched to all the same.
        """
        with self._session(projections) as (session, log):
            begun = [journal.begin_or_resume(session, projection) for projection in projections]
            builds = self._filled(session, log, [build for build, _ in begun])
            verdicts = [
                self._judged(session, log, build, resumed=resumed, accept_differences=accept_differences)
                for build, (_, resumed) in zip(builds, begun, strict=True)
            ]
            going = [v.build for v in verdicts if v.build.state is State.PROVEN]
            ended = iter(self._to_the_end(log, going))
            return [
                verdict.outcome(
                    swap(session, log, self._near(log, next(ended), log.head))
                    if verdict.build.state is State.PROVEN
                    else verdict.build
                )
                for verdict in verdicts
            ]

    def roll_back(self, projections: Sequence[Projection]) -> list[TurnedBack]:
        """Make the kept sides of `projections` live again. Raises RebuildError if one has none."""
        with self._session(projections) as (session, log):
            with session.begin():
                kept = [self._kept(session, projection) for projection in projections]
            return [self._turned(session, log, side, version) for side, version in kept]

    def kept(self, projections: Sequence[Projection]) -> list[Projection]:
        """Return those of `projections` that have a kept side."""
        with maintenance_engine(self.database_url).connect() as connection:
            return [p for p in projections if sides.exists(connection, sides.kept_schema(p.name))]

    @contextmanager
    def _session(self, projections: Sequence[Projection]) -> Iterator[tuple[Connection, LogReader]]:
        with (
            only_session(self.database_url) as session,
            LogReader(self.database_url, self.codec, projections) as log,
        ):
            try:
                yield session, log
            except RefusedStretchError as error:
                raise named(self.database_url, log, error) from error

    def _filled(self, session: Connection, log: LogReader, builds: Sequence[Build]) -> list[Build]:
        """Return the builds filled: to the live position where they are compared, else to the end."""
        with session.begin():
            comparable = [_is_comparable(session, log, build) for build in builds]
        goals = [
            _live_position(session, b) if c else log.head() for b, c in zip(builds, comparable, strict=True)
        ]
        names = ", ".join(build.projection.name for build in builds)
        builds = self._fill(log, builds, goals, f"filling {names}")
        with session.begin():
            for build in builds:
                for table in sides.columns(session, build.schema):
                    _analyse(session, build.schema, table)
            return [b.moved(session, Step.FILL) if b.state is State.FILLING else b for b in builds]

    def _judged(
        self, session: Connection, log: LogReader, build: Build, *, resumed: bool, accept_differences: bool
    ) -> Verdict:
        """Compare the new side with the live one, if they can be, and prove or abandon it."""
        with session.begin():
            standing = journal.live(session, build.projection.name)
            comparable = _is_comparable(session, log, build)
        comparison: Comparison | None = None
        detail = "There is nothing to compare it with."
        if comparable:
            build, comparison = self._compared(session, log, build)
            detail = f"{comparison.differing} of {comparison.rows} rows differ from the live side's."
        with session.begin():
            if comparison is None or comparison.equal or accept_differences:
                judged = build.moved(session, Step.PROVE, detail)
            else:
                judged = build.moved(session, Step.ABANDON, detail)
                sides.drop(session, build.schema)
        replaced = standing.version if standing is not None else None
        return Verdict(judged, resumed, replaced, build.position, comparison)

    def _compared(self, session: Connection, log: LogReader, build: Build) -> tuple[Build, Comparison]:
        """Bring the new side to where the live one is and compare the two there."""
        name = build.projection.name
        build = self._near(log, build, lambda: _live_position(session, build))
        engine = maintenance_engine(self.database_url)
        with engine.connect() as pin, engine.connect() as snapshot:
            pin.execute(text(f"SET lock_timeout = '{PIN_WAIT_S}s'"))
            pin.commit()
            with pin.begin():
                position = _pinned(pin, name)
                [build] = fill(self.database_url, log, {build: position})
                snapshot.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                snapshot.execute(text("SELECT FROM ras.read_models LIMIT 1"))  # a snapshot begins with a read
            self.reporter.phase(f"comparing {name}", position, position)
            return build, compare(snapshot, build.projection, build.schema)

    def _to_the_end(self, log: LogReader, builds: Sequence[Build]) -> list[Build]:
        """Return the builds filled to the end of the log, in one pass over it."""
        if not builds:
            return []
        names = ", ".join(build.projection.name for build in builds)
        return self._fill(log, builds, [log.head()] * len(builds), f"catching up {names}")

    def _near(self, log: LogReader, build: Build, goal: Callable[[], int]) -> Build:
        """Return the build filled until its goal, which moves, is near."""
        for _ in range(_CHASES):
            reached = goal()
            [build] = self._fill(log, [build], [reached], f"catching up {build.projection.name}")
            if goal() - reached <= _NEAR:
                return build
        raise RebuildError(
            f"Events of {build.projection.name} come in faster than they can be caught up with. Nothing was "
            "switched; run this again when less is going on: what was built is kept."
        )

    def _fill(self, log: LogReader, builds: Sequence[Build], goals: Sequence[int], what: str) -> list[Build]:
        self.reporter.phase(what, min(build.position for build in builds), max(goals))
        begun = monotonic()
        wanted = dict(zip(builds, goals, strict=True))
        filled = fill(self.database_url, log, wanted, self._on_page)
        self.speed.seconds += monotonic() - begun
        return filled

    def _on_page(self, events: int, reached: int) -> None:
        self.speed.events += events
        self.reporter.page(events, reached)

    @staticmethod
    def _kept(session: Connection, projection: Projection) -> tuple[Kept, int]:
        standing = journal.live(session, projection.name)
        schema = sides.kept_schema(projection.name)
        if standing is None or standing.kept_version is None or not sides.exists(session, schema):
            raise RebuildError(
                f"There is no earlier side of {projection.name} to go back to: it has not been rebuilt yet. "
                "Nothing was changed."
            )
        assert standing.kept_position is not None
        return Kept(projection, standing.kept_position), standing.kept_version

    def _turned(self, session: Connection, log: LogReader, kept: Kept, version: int) -> TurnedBack:
        can_follow = version == kept.projection.version
        if can_follow:
            name = kept.projection.name
            with session.begin():
                position = _position(session, name)
            self.reporter.phase(f"catching up the kept side of {name}", kept.position, position)
            [kept] = fill(self.database_url, log, {kept: position}, self._on_page)
        position = turn(session, log, kept, can_follow=can_follow)
        return TurnedBack(kept.projection.name, version, position, can_follow)


def _is_comparable(session: Connection, log: LogReader, build: Build) -> bool:
    """Whether there is a live side of the same version, and its position in the log: events may have been lost."""
    standing = journal.live(session, build.projection.name)
    if standing is None or standing.version != build.projection.version:
        return False
    return standing.position <= log.head()


def _live_position(session: Connection, build: Build) -> int:
    with session.begin():
        return max(_position(session, build.projection.name), build.position)


def _position(session: Connection, name: str) -> int:
    standing = journal.live(session, name)
    return standing.position if standing is not None else 0


def _pinned(pin: Connection, name: str) -> int:
    try:
        return locked_position(pin, name)
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        raise RebuildError(
            f"Somebody's transaction has held the position of {name} for {PIN_WAIT_S} s: is a `ras project` "
            "paused in the middle of one? Nothing was switched; what was built is kept."
        ) from error


def _analyse(session: Connection, schema: str, table: str) -> None:
    quote = session.dialect.identifier_preparer.quote
    session.execute(text(f"ANALYZE {quote(schema)}.{quote(table)}"))
