"""Runs a role: reads the settings, puts its process together, starts it."""

from __future__ import annotations

import asyncio
import os

from infrastructure.cli.starting import prepared, run
from infrastructure.roles import run as roles
from infrastructure.roles.sockets import listening
from infrastructure.settings import Settings, servers_from
from infrastructure.tracing.setup import configure_tracing


def ingest(processes: int | None) -> None:
    """Run an ingester with up to `processes`, or as many as the settings have."""
    settings = _prepared_role("ingest")
    if processes is not None:
        settings = settings.model_copy(update={"ingest_processes": processes})
    run(roles.ingest(settings, servers_from(settings)))


def publish(*, resume_at: int | None, after_restore: bool) -> None:
    """Run the publisher."""
    settings = _prepared_role("publish")
    run(roles.publish(settings, servers_from(settings), resume_at=resume_at, after_restore=after_restore))


def project() -> None:
    """Run the projections."""
    settings = _prepared_role("project")
    run(roles.project(settings, servers_from(settings, kafka=False)))


def serve() -> None:
    """Run the query API."""
    settings = _prepared_role("serve")
    servers = servers_from(settings, kafka=False)
    key = settings.shared_api_key()
    sockets = listening(settings.api_host, settings.api_port, port_setting="RAS_API_PORT")
    from infrastructure.roles.query_api import query_app  # the other roles need no web framework

    stopping = asyncio.Event()
    app = query_app(servers, settings, key, stopping=stopping)
    run(roles.serve(settings, servers, app, sockets=sockets, stopping=stopping))


def serve_assessments() -> None:
    """Run the assessment app."""
    settings = _prepared_role("serve-assessments")
    servers = servers_from(settings, kafka=False)
    key = settings.shared_api_key()
    sockets = listening(settings.api_host, settings.assessments_port, port_setting="RAS_ASSESSMENTS_PORT")
    # Read by numpy when it is imported. Its matrices here are small: a second thread would double the work
    # and gain no time, and the order of a sum should not depend on how many there are.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from infrastructure.roles.assessment_app import assessment_app

    run(roles.serve(settings, servers, assessment_app(servers, settings, key), sockets=sockets))


def _prepared_role(name: str) -> Settings:
    """Read the settings, and set up logging and what OTEL_* asks for."""
    settings = prepared()
    configure_tracing(os.environ, name)
    return settings
