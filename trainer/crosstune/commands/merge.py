"""`crosstune merge`: weights between a base and a tuned model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crosstune.commands.options import JsonOption, ResamplesOption, SeedOption

TUNED_HELP = "A run folder, or a cross-encoder's folder (then with --collection and --out)."


def register(app: typer.Typer) -> None:
    app.command()(merge)


def merge(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE",
            help="What the training began with; of a run folder its recipe's model.",
        ),
    ],
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help=TUNED_HELP)],
    alpha: Annotated[
        str,
        typer.Option(metavar="LOW:HIGH:STEP|A,B,C", help="Shares of the way from BASE to TUNED, 0 to 1."),
    ] = "0:1:.1",
    probe: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:PATH",
            help="Another domain with a dev split, as beir:PATH; the recipe's by default.",
        ),
    ] = None,
    collection: Annotated[
        str | None, typer.Option(metavar="KIND:PATH", help="The domain of a TUNED that is no run folder.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="TUNED-merged by default for a run folder.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=8, help="Of a pair, where TUNED is no run folder; 256 by default.")
    ] = None,
    max_query_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of a query, where TUNED is no run folder; 64 by default.")
    ] = None,
    seed: SeedOption = 13,
    resamples: ResamplesOption = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Look for weights between BASE and TUNED that keep the gain and forget less, by two dev splits."""
    from crosstune.merge.alphas import parse_alphas
    from crosstune.merge.inputs import Request
    from crosstune.merge.merge import merge as search
    from crosstune.progress import say

    alphas = parse_alphas(alpha)
    lengths = (max_tokens, max_query_tokens)
    merged = search(Request(base, tuned, alphas, probe, collection, out, *lengths, seed, resamples))
    folder = merged.folder
    typer.echo(json.dumps({**merged.result, "folder": str(folder)}) if as_json else render(merged.result))
    if merged.runnable:
        say(
            f"next: crosstune run {folder}/recipe.yaml run_dir={folder}  (measures it on test and exports it)"
        )
    else:
        say(f"next: crosstune run RECIPE tuned={folder}/model  (measures it on test and exports it)")
    say(f"page        {folder}/merge.html")


def render(result: Mapping[str, Any]) -> str:
    """Every alpha in both domains, and what the chosen one gains and loses."""
    lines = [f"{'alpha':>5}  {'domain':>8}  {'probe':>8}  {'mean share':>10}   dev {result['measure']}"]
    for point in result["curve"]:
        mark = "  chosen" if point["alpha"] == result["alpha"] else ""
        lines.append(
            f"{point['alpha']:>5g}  {point['domain']:>8.4f}  {point['probe']:>8.4f}  "
            f"{point['value']:>10.4f}{mark}"
        )
    lines.append("")
    for name in ("domain", "probe"):
        for other, found in result["differences"][name].items():
            lines.append(
                f"{name}, alpha {result['alpha']:g} against {other}: {found['difference']:+.4f} "
                f"[{found['low']:+.3f}, {found['high']:+.3f}], p = {found['p']:.2g}: {found['verdict']}"
            )
    return "\n".join(lines)
