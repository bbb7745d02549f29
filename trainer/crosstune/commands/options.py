"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

RUN_HELP = "A run folder, what evaluate --out wrote, or a TREC run."


class Missing(str, Enum):
    refuse = "refuse"
    zero = "zero"
    skip = "skip"


JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

AllowWorseOption = Annotated[
    bool,
    typer.Option(
        "--allow-worse",
        help="Export even when dev shows no gain over the first stage: export.allow_worse=true.",
    ),
]

DepthOption = Annotated[
    int | None, typer.Option(min=1, help="Compare the best documents of each run alone, this many.")
]
QrelsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Judgements: TREC's 4 columns or BEIR's 3. A run folder has its own."),
]
MeasureOption = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        "-m",
        metavar="NAME",
        help="A measure of ir_measures, for example nDCG@10; several times.",
    ),
]
RelevantOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="GRADE", help="The grade from which yes-or-no measures count a document."),
]
FirstStageOption = Annotated[
    Path | None, typer.Option(metavar="TREC-RUN", help="The candidates that the run reranks.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the bootstrap and the randomisation test.")]
ResamplesOption = Annotated[int, typer.Option(min=100, help="Of the bootstrap and the randomisation test.")]
OwnSeedOption = Annotated[
    int | None, typer.Option(min=0, help="Of the bootstrap and the randomisation test; 13 without.")
]
OwnResamplesOption = Annotated[
    int | None, typer.Option(min=100, help="Of the bootstrap and the randomisation test; 10000 without.")
]
"""Of commands that also do what has seeds of its own, where these words have no place."""
MissingOption = Annotated[
    Missing,
    typer.Option(
        help="Judged queries that one run has and another has not: refuse to compare, count 0 where they are "
        "missing (as trec_eval -c), or skip them."
    ),
]
