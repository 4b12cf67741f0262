"""Small commands: tables and topics, and the API's description."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from infrastructure.bootstrap import servers_from
from infrastructure.cli.roles import prepared
from infrastructure.kafka.topics import create_missing_topics
from infrastructure.postgres import schema
from infrastructure.settings import load_settings


def init(
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Migrate the tables of an older version, too.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Create the tables and topics that are missing; safe to run again."""
    servers = servers_from(prepared())
    to_rebuild = schema.initialise(servers.database_url, upgrade=upgrade)
    created = asyncio.run(create_missing_topics(servers.bootstrap_servers))
    if json_output:
        typer.echo(json.dumps({"tables": "ready", "topics_created": created, "to_rebuild": list(to_rebuild)}))
    else:
        typer.echo(
            f"The tables are ready; {len(created)} topics created{': ' if created else ''}{', '.join(created)}."
        )
        for sentence in to_rebuild.values():
            typer.echo(sentence)


def openapi(
    assessments: Annotated[
        bool, typer.Option("--assessments", help="The assessment app's instead of the query API's.")
    ] = False,
) -> None:
    """Print an API's OpenAPI 3.1 document."""
    from infrastructure.http.assessments_openapi import assessments_document
    from infrastructure.http.openapi import openapi_document

    load_settings()
    typer.echo(json.dumps(assessments_document() if assessments else openapi_document(), indent=2))
