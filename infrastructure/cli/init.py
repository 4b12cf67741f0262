"""`ras init`: creates missing tables and topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import typer

from domain.wording import counted
from infrastructure.cli.standard_output import console, say
from infrastructure.cli.starting import prepared
from infrastructure.kafka.topic_advice import topic_advice
from infrastructure.kafka.topics import create_missing_topics
from infrastructure.local.running_note import kafka_to_send_to, servers_to_look_at
from infrastructure.postgres import schema
from infrastructure.postgres.grants import grant_roles


def init(*, upgrade: bool, grants: bool, json_output: bool) -> None:
    """Create what is missing, and say what was done."""
    settings = prepared()
    servers = servers_to_look_at(settings)
    kafka, up = kafka_to_send_to(settings)
    to_rebuild = schema.initialise(servers.database_url, upgrade=upgrade)
    granted = grant_roles(servers.database_url) if grants else []
    # The broker that `ras up` brings has all topics from its start, and no request to make any.
    embedded = up is not None and up.embedded_kafka
    created, warnings = ([], []) if embedded else asyncio.run(_topics(kafka))
    if json_output:
        done = {"tables": "ready", "topics_created": created, "to_rebuild": list(to_rebuild)}
        typer.echo(json.dumps(done | {"warnings": warnings} | ({"grants": granted} if grants else {})))
    else:
        _print(created, list(to_rebuild.values()), granted, warnings)


def _print(
    created: Sequence[str], to_rebuild: Sequence[str], granted: Sequence[str], warnings: Sequence[str]
) -> None:
    """Print what was done, what to rebuild, and warnings of topics, whose commands stay on one line to be copied."""
    out = console()
    for statement in granted:
        typer.echo(f"{statement};")
    out.print(
        f"The tables are ready; {counted(len(created), 'topic')} created{': ' if created else ''}{', '.join(created)}."
    )
    if granted:
        out.print(
            "The roles are granted. Create a user for each process as a member of its role, such as "
            "CREATE USER … PASSWORD '…' IN ROLE ras_ingest, and name it in RAS_DATABASE_URL."
        )
    for sentence in to_rebuild:
        out.print(sentence)
    for sentence in warnings:
        say(sentence)


async def _topics(bootstrap_servers: str) -> tuple[list[str], list[str]]:
    """Create the topics that are missing; return their names, and what is wrong with those that RAS writes."""
    return await create_missing_topics(bootstrap_servers), await topic_advice(bootstrap_servers)
