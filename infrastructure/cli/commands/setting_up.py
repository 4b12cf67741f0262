"""Commands that set RAS up and show it: demo, up, init, openapi, asyncapi."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    batches: Annotated[int, typer.Option(min=1, max=10_000, help="How many batches to play.")] = 300,
    seed: Annotated[int, typer.Option(help="The same seed gives the same batches.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    json_output: Annotated[
        bool,
        typer.Option("--json", help="Print the result as JSON; with --keep one line with all addresses."),
    ] = False,
) -> None:
    """Play a realistic stream and check every result. Needs no settings and no Docker.

    Upstream's messages for a few hundred batches (classes of several sizes, some failures, some disorder,
    some repeats) go into Kafka. What comes out of Kafka and of the API is checked against what went in: exit
    code 0 only if all of it agrees, 1 if not. Always on embedded servers with data in a temporary folder:
    RAS_DATABASE_URL and RAS_KAFKA_BOOTSTRAP_SERVERS are not touched, and nothing stays.
    """
    from infrastructure.cli import demo as work

    work.demo(work.Options(batches, seed, keep, json_output))


def up(
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when everything is ready.")
    ] = False,
) -> None:
    """Run all roles on this machine. Embedded servers are used unless you set your own. Ctrl-C stops them."""
    from infrastructure.cli import up as work

    work.up(json_output=json_output)


def init(
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Also migrate the tables of an older version.")
    ] = False,
    grants: Annotated[
        bool,
        typer.Option(
            "--grants",
            help="Also create and grant database roles with least privileges, and print the SQL: "
            "ras_ingest, ras_publish, ras_project, ras_serve, ras_operate.",
        ),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Create missing tables and topics. It is safe to run again."""
    from infrastructure.cli import init as work

    work.init(upgrade=upgrade, grants=grants, json_output=json_output)


def openapi(
    assessments: Annotated[
        bool, typer.Option("--assessments", help="Describe the assessment app instead of the query API.")
    ] = False,
) -> None:
    """Print an API's OpenAPI 3.1 document."""
    from infrastructure.cli import openapi as work

    work.openapi(assessments=assessments)


def asyncapi() -> None:
    """Print the AsyncAPI 3 document of the topics and events."""
    from infrastructure.cli import asyncapi as work

    work.asyncapi()
