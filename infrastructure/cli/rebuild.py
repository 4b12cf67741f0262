"""`ras rebuild`: rebuilds read models beside the live ones, proves them equal, and switches."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.progress import TaskID

from infrastructure.cli.failures import CommandError
from infrastructure.cli.progress import ProgressBars
from infrastructure.cli.standard_output import console
from infrastructure.cli.starting import prepared
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.local.running_note import servers_to_look_at
from infrastructure.postgres import schema_version
from infrastructure.rebuild.comparing import NAMED_AT_MOST
from infrastructure.rebuild.outcomes import Rebuilt, Speed, TurnedBack
from infrastructure.rebuild.rebuild import Rebuilding
from infrastructure.rebuild.states import State
from projections.catalogue import PROJECTIONS
from projections.projection import Projection


def rebuild(
    names: Sequence[str], *, rollback: bool, accept_differences: bool, yes: bool, json_output: bool
) -> None:
    """Rebuild the read models named, all where none is, and switch; or go back to the side before."""
    wanted = _wanted(names)
    servers = servers_to_look_at(prepared())
    schema_version.check(servers.database_url)
    with _Bar() as bar:
        rebuilding = Rebuilding(servers.database_url, event_codec(), bar)
        if rollback:
            _roll_back(rebuilding, wanted, named=bool(names), yes=yes, json_output=json_output, bar=bar)
            return
        try:
            outcomes = rebuilding.rebuild(wanted, accept_differences=accept_differences)
        except KeyboardInterrupt:
            bar.stop()
            sys.stderr.write(
                "ras: Interrupted. The live side is as it was; `ras rebuild` goes on from here.\n"
            )
            raise
    _show(outcomes, rebuilding.speed, json_output=json_output)
    refused = [outcome.name for outcome in outcomes if outcome.state is State.ABANDONED]
    if refused:
        raise CommandError(
            f"Rows differ, so the live side of {', '.join(refused)} was left as it is. If the live rows are the "
            f"wrong ones, run `ras rebuild {' '.join(refused)} --accept-differences`."
        )


def _wanted(names: Sequence[str]) -> list[Projection]:
    known = {projection.name: projection for projection in PROJECTIONS}
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"There is no read model {', '.join(unknown)}; there are {', '.join(known)}. Nothing was changed.",
            param_hint="NAME",
        )
    return [known[name] for name in dict.fromkeys(names)] or list(PROJECTIONS)


def _roll_back(
    rebuilding: Rebuilding,
    wanted: Sequence[Projection],
    *,
    named: bool,
    yes: bool,
    json_output: bool,
    bar: _Bar,
) -> None:
    if not named:
        wanted = rebuilding.kept(wanted)
        if not wanted:
            raise CommandError("No read model has an earlier side to go back to. Nothing was changed.")
    names = ", ".join(projection.name for projection in wanted)
    bar.stop()
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Go back to the earlier side of {names}?", abort=True)
    turned = rebuilding.roll_back(wanted)
    if json_output:
        typer.echo(json.dumps({"rolled_back": [asdict(each) for each in turned]}))
        return
    out = console()
    for each in turned:
        out.print(_turned_line(each))


def _turned_line(turned: TurnedBack) -> str:
    line = f"{turned.name}: the earlier side is live again, at position {turned.position}."
    if turned.is_followed:
        return line
    return (
        f"{line} It is of version {turned.version}: run the release of that version, whose projector goes on "
        "from there."
    )


def _show(outcomes: Sequence[Rebuilt], speed: Speed, *, json_output: bool) -> None:
    if json_output:
        rebuilt = [_as_json(outcome) for outcome in outcomes]
        typer.echo(
            json.dumps(
                {
                    "rebuilt": rebuilt,
                    "events": speed.events,
                    "seconds": round(speed.seconds, 3),
                    "events_per_second": round(speed.events_per_second),
                }
            )
        )
        return
    out = console()
    for outcome in outcomes:
        out.print(_line(outcome))
        for difference in outcome.comparison.differences if outcome.comparison else ():
            out.print(f"  {difference}")
        more = outcome.comparison.differing - len(outcome.comparison.differences) if outcome.comparison else 0
        if more > 0:
            out.print(f"  and {more:,} more (the first {NAMED_AT_MOST} of each table are named)")
    out.print(
        f"{speed.events:,} events in {speed.seconds:.1f} s, {speed.events_per_second:,.0f} events per second."
    )


def _line(outcome: Rebuilt) -> str:
    if outcome.state is State.ABANDONED:
        count = outcome.comparison.differing if outcome.comparison else 0
        differ = "1 row differs" if count == 1 else f"{count:,} rows differ"
        return f"{outcome.name}: refused, {differ} from the live side at position {outcome.position}:"
    how = "resumed and switched" if outcome.resumed else "switched"
    if outcome.proven_at is not None:
        why = f"{outcome.comparison.rows if outcome.comparison else 0:,} rows proven equal at position {outcome.proven_at}"
    elif outcome.replaced_version is None:
        why = "there was no live side before"
    elif outcome.replaced_version != outcome.version:
        why = f"version {outcome.replaced_version} became {outcome.version}"
    else:
        why = "differences accepted:"
    return f"{outcome.name}: {how} at position {outcome.position}; {why}"


def _as_json(outcome: Rebuilt) -> dict[str, Any]:
    comparison = outcome.comparison
    return {
        "name": outcome.name,
        "state": outcome.state,
        "version": outcome.version,
        "replaced_version": outcome.replaced_version,
        "position": outcome.position,
        "proven_at": outcome.proven_at,
        "rows": comparison.rows if comparison else None,
        "resumed": outcome.resumed,
        "differing": comparison.differing if comparison else 0,
        "differences": [each.as_json() for each in comparison.differences] if comparison else [],
    }


class _Bar(ProgressBars):
    """One bar, for the phase under way."""

    def __init__(self) -> None:
        super().__init__()
        self._current: TaskID | None = None

    def phase(self, what: str, position: int, goal: int) -> None:
        """Begin a new bar; notification ids stand for events, which they nearly are."""
        if self._current is not None:
            self.remove_task(self._current)
        self._current = self.add_task(what, total=goal, completed=position)

    def page(self, events: int, reached: int) -> None:
        """Move the bar."""
        del events
        if self._current is not None:
            self.update(self._current, completed=reached)
