"""What `ras openapi` prints."""

from __future__ import annotations

import json

import typer

from infrastructure.http.assessments.routes import assessments_document
from infrastructure.http.query.app import openapi_document
from infrastructure.settings import load_settings


def openapi(*, assessments: bool) -> None:
    """Print the document of one of the two applications."""
    load_settings()
    typer.echo(json.dumps(assessments_document() if assessments else openapi_document(), indent=2))
