"""What `ras init` does: tables and topics that are missing are made."""

from __future__ import annotations

import asyncio
import json

import typer

from infrastructure.cli.starting import prepared
from infrastructure.kafka.topics import create_missing_topics
from infrastructure.postgres import schema
from infrastructure.servers import servers_from


def init(*, upgrade: bool, json_output: bool) -> None:
    """Create what is missing, and say what was done."""
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
