"""What sets up and shows the whole: everything on this machine, tables and topics, the API's description."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    batches: Annotated[int, typer.Option(min=1, max=10_000, help="How many batches to play.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed gives other batches, the same seed the same.")] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running for a look, until Ctrl-C.")
    ] = False,
    json_output: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the result as JSON; with --keep: one line that says where everything is."
        ),
    ] = False,
) -> None:
    """Play a realistic stream through everything and check each result; needs no setting and no Docker.

    Upstream's messages for a few hundred batches (classes of several sizes, some failures, some disorder,
    some repeats) go into Kafka. What comes out of Kafka and of the API is checked against what went in: exit
    code 0 only if all of it agrees, 1 if not. Always on embedded servers with data in a temporary folder:
    RAS_DATABASE_URL and RAS_KAFKA_BOOTSTRAP_SERVERS are not touched, and nothing stays.
    """
    from infrastructure.cli import demo as work

    work.demo(work.Options(batches, seed, keep, json_output))


def up(
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when all is ready.")
    ] = False,
) -> None:
    """Run all roles on this machine, with embedded servers unless some are set; Ctrl-C stops."""
    from infrastructure.cli import up as work

    work.up(json_output=json_output)


def init(
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Migrate the tables of an older version, too.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Create the tables and topics that are missing; safe to run again."""
    from infrastructure.cli import init as work

    work.init(upgrade=upgrade, json_output=json_output)


def openapi(
    assessments: Annotated[
        bool, typer.Option("--assessments", help="The assessment app's instead of the query API's.")
    ] = False,
) -> None:
    """Print an API's OpenAPI 3.1 document."""
    from infrastructure.cli import openapi as work

    work.openapi(assessments=assessments)
