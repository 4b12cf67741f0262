"""The roles: each is one process of a deployment."""

from __future__ import annotations

from typing import Annotated

import typer


def ingest() -> None:
    """Take in upstream's messages (one or more processes; they share the partitions)."""
    from infrastructure.cli import roles as work

    work.ingest()


def publish(
    resume_at: Annotated[
        int | None,
        typer.Option(
            min=0, help="Set the position to this notification id first; events up to it count as published."
        ),
    ] = None,
    after_restore: Annotated[
        bool,
        typer.Option(
            "--after-restore",
            help="The database is an earlier one: go back with it, and leave out what Kafka shows to have been said.",
        ),
    ] = False,
) -> None:
    """Publish results and notifications to Kafka, exactly once (one process; a second one takes over)."""
    if after_restore and resume_at is not None:
        raise typer.BadParameter("--resume-at and --after-restore exclude each other.")
    from infrastructure.cli import roles as work

    work.publish(resume_at=resume_at, after_restore=after_restore)


def project() -> None:
    """Keep the read models up to date (a second process takes turns with the first)."""
    from infrastructure.cli import roles as work

    work.project()


def serve() -> None:
    """Answer queries over HTTP."""
    from infrastructure.cli import roles as work

    work.serve()


def serve_assessments() -> None:
    """Answer questions about comparative judgement over HTTP."""
    from infrastructure.cli import roles as work

    work.serve_assessments()
