"""The roles as commands: each is one process of a deployment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from infrastructure import roles
from infrastructure.bootstrap import servers_from
from infrastructure.settings import Settings, load_settings
from infrastructure.telemetry import configure_logging
from infrastructure.tracing.setup import configure_tracing


def prepared() -> Settings:
    """Read the settings and set up logging."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return settings


def prepared_role(name: str) -> Settings:
    """Read the settings, and set up logging and what OTEL_* asks for."""
    settings = prepared()
    configure_tracing(os.environ, name)
    return settings


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on the fast event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def ingest() -> None:
    """Take in upstream's messages (one or more processes; they share the partitions)."""
    settings = prepared_role("ingest")
    run(roles.ingest(settings, servers_from(settings)))


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
    settings = prepared_role("publish")
    run(roles.publish(settings, servers_from(settings), resume_at=resume_at, after_restore=after_restore))


def project() -> None:
    """Keep the read models up to date (a second process takes turns with the first)."""
    settings = prepared_role("project")
    run(roles.project(settings, servers_from(settings, kafka=False)))


def serve() -> None:
    """Answer queries over HTTP."""
    from infrastructure.query_api import query_app  # the other roles need no web framework

    settings = prepared_role("serve")
    servers = servers_from(settings, kafka=False)
    app = query_app(servers, settings, settings.require_api_key())
    run(roles.serve(settings, servers, app, port=settings.api_port))


def serve_assessments() -> None:
    """Answer questions about comparative judgement over HTTP."""
    # Read by numpy when it is imported. Its matrices here are small: a second thread would double the work
    # and gain no time, and the order of a sum should not depend on how many there are.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from infrastructure.assessment_api import assessment_app

    settings = prepared_role("serve-assessments")
    servers = servers_from(settings, kafka=False)
    app = assessment_app(servers, settings, settings.require_api_key())
    run(roles.serve(settings, servers, app, port=settings.assessments_port))
