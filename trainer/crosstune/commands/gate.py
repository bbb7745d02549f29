"""`crosstune gate`: a run must reach values, not be worse than another, and be fast enough."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstune.commands.options import (
    RUN_HELP,
    DepthOption,
    JsonOption,
    MeasureOption,
    Missing,
    MissingOption,
    QrelsOption,
    ResamplesOption,
    SeedOption,
)

if TYPE_CHECKING:
    from crosstune.results.gate import GateResult


def register(app: typer.Typer) -> None:
    app.command()(gate)


def gate(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    qrels: QrelsOption = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="MEASURE>=VALUE", help="For example 'nDCG@10>=.6'; several times."),
    ] = None,
    not_worse_than: Annotated[
        str | None, typer.Option(metavar="RUN", help="Fail when worse than this run, beyond chance.")
    ] = None,
    measure: MeasureOption = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="With --not-worse-than: fail when the 95 % interval reaches further below the run than this."
        ),
    ] = None,
    missing: MissingOption = Missing.refuse,
    depth: DepthOption = None,
    max_latency: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Of reranking one query, as the folder measured it."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML there.")] = None,
    seed: SeedOption = 13,
    resamples: ResamplesOption = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Check a run: exit 0 when every check passes, 1 with the lines that failed, 2 for bad input."""
    from crosstune.errors import CheckFailed, InputError
    from crosstune.progress import say
    from crosstune.results import gate as work
    from crosstune.results.junit import write_checks, write_error

    try:
        minima = tuple(work.parse_minimum(text) for text in minimum or ())
        request = work.GateRequest(
            run, qrels, minima, not_worse_than, tuple(measure or ()), margin, missing.value, depth,
            max_latency, seed, resamples,
        )  # fmt: skip
        result = work.gate(request)
    except InputError as error:
        if junit is not None:
            write_error(junit, run, str(error))
        raise
    if junit is not None:
        write_checks(junit, run, result.checks)
    typer.echo(_json(result) if as_json else _text(result))
    for note in result.notes:
        say(f"note: {note}")
    if result.failed:
        raise CheckFailed(
            f"{len(result.failed)} of {len(result.checks)} checks failed: "
            + "; ".join(f"{check.name} (found {check.found})" for check in result.failed)
        )


def _json(result: GateResult) -> str:
    found = {"schema": 1, "passed": not result.failed, **asdict(result)}
    return json.dumps(found, ensure_ascii=False)


def _text(result: GateResult) -> str:
    width = max(len(check.name) for check in result.checks)
    return "\n".join(
        f"{'pass' if check.passed else 'FAIL'}  {check.name.ljust(width)}  {check.found}"
        for check in result.checks
    )
