"""`crosstune compare`: runs against a first one, over the same queries."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import (
    RUN_HELP,
    DepthOption,
    JsonOption,
    MeasureOption,
    Missing,
    MissingOption,
    QrelsOption,
    RelevantOption,
    ResamplesOption,
    SeedOption,
)


def register(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN-A RUN-B...", help=f"{RUN_HELP} The first is the baseline.")
    ],
    qrels: QrelsOption = None,
    measure: MeasureOption = None,
    relevant_from: RelevantOption = None,
    missing: MissingOption = Missing.refuse,
    depth: DepthOption = None,
    queries: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="queries.jsonl: show the words of the queries that changed."),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="corpus.jsonl: show the beginning of their documents."),
    ] = None,
    changed: Annotated[
        int, typer.Option(min=0, help="Queries shown that gained most, and that lost most.")
    ] = 3,
    shown: Annotated[int, typer.Option(min=1, help="Documents shown of each of them.")] = 5,
    seed: SeedOption = 13,
    resamples: ResamplesOption = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: every measure with its test, and the queries that changed most."""
    from crosstune.assessment import chosen_measures
    from crosstune.errors import InputError
    from crosstune.progress import say
    from crosstune.results.changes import with_texts
    from crosstune.results.compare import MEASURES, compare_runs
    from crosstune.results.compare_table import render_comparison
    from crosstune.results.runs import open_runs

    if len(runs) < 2:
        raise InputError(f"{runs[0]}: name a second run to compare it with")
    measures = tuple(chosen_measures(measure or MEASURES, relevant_from))
    opened = open_runs(runs, qrels, measures, missing.value, depth, queries)
    found = compare_runs(opened, measures, changed=changed, shown=shown, seed=seed, resamples=resamples)
    if corpus is not None:
        found = replace(found, changed=with_texts(found.changed, corpus))
    if as_json:
        typer.echo(json.dumps({"schema": 1, **asdict(found)}, ensure_ascii=False))
    else:
        typer.echo(render_comparison(found))
    for note in found.notes:
        say(f"note: {note}")
