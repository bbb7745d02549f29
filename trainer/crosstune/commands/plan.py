"""`crosstune plan`: how deep to rerank for a budget of time."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from crosstune.commands.options import (
    RUN_HELP,
    FirstStageOption,
    JsonOption,
    QrelsOption,
    ResamplesOption,
    SeedOption,
)


def register(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    budget_ms: Annotated[float, typer.Option(metavar="MS", help="For one query, first stage included.")],
    qrels: QrelsOption = None,
    measure: Annotated[str, typer.Option("--measure", "-m", help="A measure of ir_measures.")] = "nDCG@10",
    first_stage: FirstStageOption = None,
    ms_per_pair: Annotated[
        float | None,
        typer.Option(
            metavar="MS", help="For a passage, as measured where it will run; a run folder's by default."
        ),
    ] = None,
    depth: Annotated[
        list[int] | None, typer.Option(min=1, help="Depths to try; 5, 10, 20, 50, 100, ... by default.")
    ] = None,
    seed: SeedOption = 13,
    resamples: ResamplesOption = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Quality against depth against time, and the depth that is worth it within a budget."""
    from crosstune.progress import say
    from crosstune.results.plan_table import render_plan
    from crosstune.results.planning import PlanRequest, plan_run

    found = plan_run(
        PlanRequest(run, budget_ms, qrels, measure, first_stage, ms_per_pair, depth or (), seed, resamples)
    )
    if as_json:
        typer.echo(json.dumps({"schema": 1, **asdict(found)}, ensure_ascii=False))
    else:
        typer.echo(render_plan(found))
    for note in found.notes:
        say(f"note: {note}")
