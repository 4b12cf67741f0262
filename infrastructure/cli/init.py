"""`ras init`: creates missing tables and topics."""

from __future__ import annotations

import asyncio
import json

import typer

from infrastructure.cli.standard_output import say
from infrastructure.cli.starting import prepared
from infrastructure.kafka.topics import create_missing_topics
from infrastructure.local.running_note import kafka_to_send_to, servers_to_look_at
from infrastructure.postgres import schema


def init(*, upgrade: bool, json_output: bool) -> None:
    """Create what is missing, and say what was done."""
    settings = prepared()
    servers = servers_to_look_at(settings)
    kafka, up = kafka_to_send_to(settings)
    to_rebuild = schema.initialise(servers.database_url, upgrade=upgrade)
    # The broker that `ras up` brings has all topics from its start, and no request to make any.
    embedded = up is not None and up.embedded_kafka
    created = [] if embedded else asyncio.run(create_missing_topics(kafka))
    if json_output:
        typer.echo(json.dumps({"tables": "ready", "topics_created": created, "to_rebuild": list(to_rebuild)}))
    else:
        say(
            f"The tables are ready; {len(created)} topics created{': ' if created else ''}{', '.join(created)}."
        )
        for sentence in to_rebuild.values():
            say(sentence)
