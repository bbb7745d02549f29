"""`crosstune doctor`: what a training suffered from, after the fact."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption
from crosstune.commands.output import echo_json


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder whose training ended, was stopped or goes on.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Say what a training suffered from and what to change: exit 0 when healthy, 1 with a diagnosis."""
    from crosstune.errors import CheckFailed
    from crosstune.files import without_overflow
    from crosstune.run import RunFolder
    from crosstune.train.doctor.report import figures, read_report, render_report

    folder = RunFolder(run).training()
    report = read_report(folder)
    if as_json:
        found = {"healthy": not report.diagnoses, "figures": figures(folder, report)}
        echo_json(without_overflow({"schema": 1, "folder": str(folder), **found, **asdict(report)}))
    else:
        typer.echo(render_report(folder, report))
    if report.diagnoses:
        names = ", ".join(diagnosis.name for diagnosis in report.diagnoses)
        raise CheckFailed(f"{folder}: the training suffers from {names}")
