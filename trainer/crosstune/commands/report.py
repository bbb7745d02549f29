"""`crosstune report`: the page of an evaluated run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption


def register(app: typer.Typer) -> None:
    app.command()(report)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder whose evaluation has ended.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="RUN/evaluate/report.html by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's report page again, without scoring anything again."""
    from crosstune.results.report import write_report

    written = write_report(run, out)
    typer.echo(json.dumps({"report": str(written)}) if as_json else f"report      {written}")
