"""`ras judging-report`: a judging session as one HTML file to hand on, or one of its figures as a file."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import typer

from domain.wording import Count
from infrastructure.cli.drawing import draw, labelled
from infrastructure.cli.judging_csv import FileForm, comparisons_of, read_decisions
from infrastructure.cli.judging_scales import ScaleArguments, scale_errors, scale_options
from infrastructure.errors import OperatorError

if TYPE_CHECKING:
    from application.judging_report.contents import ReportContents
    from application.judging_report.texts import Language

PUBLISHED = "published"
"""In place of a file of anchors: the anchors of a job, with the grades that were published."""
_PAGE = 1000


class ReportError(OperatorError):
    """The report cannot be written; the text says why and what to do."""

    exit_code = 2


def judging_report(
    source: str,
    output: Path,
    form: FileForm,
    *,
    language: str,
    figure: str | None,
    with_figures: bool,
    title: str | None,
    scales: ScaleArguments,
) -> None:
    """Write the report of a file of decisions, or of a job that RAS has recorded, to `output`."""
    from application.judging_report.texts import TEXTS, Language

    suffix = output.suffix.lower()
    wanted = (".html", ".htm", ".json") if figure is None else (".svg", ".pdf")
    if suffix not in wanted:
        raise ReportError(f"{output}: the name must end in {' or '.join(wanted)}.")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with scale_errors():
        contents = _contents(source, form, title, scales, Language(language))

    from application.judging_report.data import report_json
    from application.judging_report.document import report_html
    from application.judging_report.figures import figures
    from application.judging_report.specs import for_print

    chosen = Language(language)
    shown = figures(contents, TEXTS[chosen], chosen.value)
    specs = {each.name: each.spec for each in shown if each.spec is not None}
    if figure is not None:
        if figure not in specs:
            raise ReportError(f"There is no figure {figure!r} in this report; there are {', '.join(specs)}.")
        [drawn] = draw({figure: for_print(specs[figure])}, suffix.removeprefix(".")).values()
        written = drawn.encode() if suffix == ".svg" else base64.b64decode(drawn)
    else:
        drawings = draw(specs) if with_figures else {}
        titles = {each.name: each.title for each in shown}
        named = {name: labelled(name, titles[name], svg) for name, svg in drawings.items()}
        made = report_json if suffix == ".json" else report_html
        written = made(contents, shown, named, chosen).encode()
    try:
        output.write_bytes(written)
    except OSError as error:
        raise ReportError(f"{output}: cannot be written: {error.strerror or error}.") from error
    typer.echo(f"Wrote {output} ({len(written) / 1000:,.0f} kB).")


def _contents(
    source: str, form: FileForm, title: str | None, scales: ScaleArguments, language: Language
) -> ReportContents:
    from application.judging_report.contents import contents_of
    from application.judging_report.texts import TEXTS

    if (
        source != "-"
        and not Path(source).exists()
        and Path(source).suffix.lower() not in (".csv", ".tsv", ".txt")
    ):
        return asyncio.run(_job(source, title or TEXTS[language]["job_title"].format(job=source), scales))
    if scales.anchors == PUBLISHED:
        raise ReportError(
            "--anchors published: a file of decisions has no published grades; give a CSV file."
        )
    columns = read_decisions(source, form)
    comparisons = comparisons_of(columns, source)
    return contents_of(
        title or TEXTS[language]["untitled"].format(items=Count(len(comparisons.items))),
        comparisons,
        scales=None if scales.are_none else scale_options(scales),
    )


async def _job(job_id: str, title: str, scales: ScaleArguments) -> ReportContents:
    """What RAS has recorded of a job, at one moment."""
    from application.assessments import Outcome, PageRequest
    from application.judging_report.contents import contents_of
    from application.judging_scores import scored
    from infrastructure.cli.starting import prepared
    from infrastructure.local.running_note import servers_to_look_at
    from infrastructure.postgres.connections import read_model_engine
    from infrastructure.queries.assessments import PostgresAssessments

    servers = servers_to_look_at(prepared())
    engine = read_model_engine(servers.database_url, pool_size=1)
    justifications: list[str | None] = []
    try:
        async with PostgresAssessments(engine).snapshot() as snapshot:
            try:
                facts = await snapshot.facts(job_id)
            except LookupError as error:
                raise ReportError(
                    f"There is no file {job_id} and no judging job of this id; give a CSV file or a job's id."
                ) from error
            after: int | None = 0
            while after is not None:
                page = await snapshot.page(job_id, PageRequest(after, _PAGE, Outcome.DECIDED))
                assert page is not None
                justifications += [each["justification"] for each in orjson.loads(page.decisions)]
                after = page.next_cursor
    finally:
        await engine.dispose()
    job = scored(facts)
    if job.comparisons is None:
        raise ReportError(f"No judge has decided anything in job {job_id} yet: there is nothing to report.")
    times = {
        judge: sum(tally.times) / len(tally.times) / 1000
        for judge, tally in job.tallies.items()
        if tally.times
    }
    lines = () if facts.result is None else facts.result.lines
    judged = set(job.comparisons.items)
    anchors = {line["essay_id"]: line["letter_grade"] for line in lines if line["is_anchor"]}
    wanted = None
    if scales.anchors == PUBLISHED:
        wanted = scale_options(scales._replace(anchors=None))._replace(
            grades={name: grade for name, grade in anchors.items() if name in judged}
        )
    elif not scales.are_none:
        wanted = scale_options(scales)
    return contents_of(
        title,
        job.comparisons,
        justifications=justifications,
        mean_times_s=times,
        scales=wanted,
        published_grades={line["essay_id"]: line["letter_grade"] for line in lines},
    )
