"""The roles: each is one process of a deployment."""

from __future__ import annotations

from typing import Annotated

import typer


def ingest(
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="In a backlog, one process fetches and writes, and the others read messages and decide on them. "
            "Default: RAS_INGEST_PROCESSES, else the number of cores, 4 at most.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run an ingester. Several of them share the partitions."""
    from infrastructure.cli import roles as work

    work.ingest(processes)


def publish(
    resume_at: Annotated[
        int | None,
        typer.Option(
            min=0, help="First set the position to this notification id; events up to it count as published."
        ),
    ] = None,
    after_restore: Annotated[
        bool,
        typer.Option(
            "--after-restore",
            help="The database was restored to an earlier day: go back with it, and leave out what Kafka shows as announced.",
        ),
    ] = False,
) -> None:
    """Run the publisher. A second process takes over and the first ends."""
    if after_restore and resume_at is not None:
        raise typer.BadParameter("--resume-at and --after-restore exclude each other.")
    from infrastructure.cli import roles as work

    work.publish(resume_at=resume_at, after_restore=after_restore)


def project() -> None:
    """Run the projections. They keep the read models current."""
    from infrastructure.cli import roles as work

    work.project()


def serve() -> None:
    """Run the query API over HTTP."""
    from infrastructure.cli import roles as work

    work.serve()


def serve_assessments() -> None:
    """Run the assessment app over HTTP."""
    from infrastructure.cli import roles as work

    work.serve_assessments()
