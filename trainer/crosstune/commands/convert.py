"""`crosstune convert`: other people's formats in, a collection or training groups out."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption


class Target(str, Enum):
    beir = "beir"
    groups = "groups"


def register(app: typer.Typer) -> None:
    app.command()(convert)


def convert(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A file, a folder, ir_datasets:ID or datasets:NAME.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    kind: Annotated[
        str | None, typer.Option("--format", help="The format of IN; recognised when it is not given.")
    ] = None,
    target: Annotated[
        Target, typer.Option("--to", help="A collection (BEIR folder), or training groups (Arrow).")
    ] = Target.beir,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=COLUMN", help="Which column is what, for example query=question."),
    ] = None,
    dev: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the queries, if IN has no dev split.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the queries, if IN has no test split.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the splits.")] = 13,
    disjoint_positives: Annotated[
        bool,
        typer.Option("--disjoint-positives", help="Queries that share a positive go to the same split."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check all of IN, write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert retrieval data of any known format to a collection or to training groups."""
    from crosstune.data import SplitRule, parse_columns
    from crosstune.data import convert as run_convert

    summary = run_convert(
        source,
        None if dry_run else out,
        kind=kind,
        columns=parse_columns(column or []),
        target=target.value,
        rule=SplitRule(dev, test, seed, disjoint_positives),
        overwrite=overwrite,
    )
    if as_json:
        typer.echo(json.dumps(asdict(summary), ensure_ascii=False))
