"""What `ras asyncapi` prints."""

from __future__ import annotations

import json

import typer

from infrastructure.live.asyncapi import asyncapi_document


def asyncapi() -> None:
    """Print the document."""
    typer.echo(json.dumps(asyncapi_document(), indent=2))
