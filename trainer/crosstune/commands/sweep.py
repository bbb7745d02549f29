"""`crosstune sweep`: a search over keys of a recipe."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from crosstune.commands.options import JsonOption

if TYPE_CHECKING:
    from crosstune.sweep import SweepResult

WORDS_HELP = (
    "What to search, KEY=A|B, KEY=LOW..HIGH or KEY=LOW..HIGH:log, and overrides for all trials, for example "
    "train.learning_rate=1e-5..1e-4:log train.loss=lce|ranknet collection=beir:PATH run_dir=runs/search."
)


def register(app: typer.Typer) -> None:
    app.command()(sweep)


def sweep(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe.")
    ],
    words: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUES...", help=WORDS_HELP)] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, those of earlier calls among them.")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of the search.")] = 13,
    as_json: JsonOption = False,
) -> None:
    """Search over keys of a recipe by what dev says, never by test; goes on after a kill."""
    from crosstune.progress import say
    from crosstune.sweep import sweep as search

    found = search(recipe, words or [], trials, seed)
    typer.echo(json.dumps({"schema": 1, **asdict(found)}) if as_json else render(found))
    say(f"next: crosstune run {found.folder}/best.yaml run_dir=runs/best  (measures the choice on test)")


def render(found: SweepResult) -> str:
    """The trials, best first."""
    order = sorted(found.trials, key=lambda trial: (trial.dev is None, -(trial.dev or 0.0), trial.number))
    lines = [f"{'trial':>5}  {'dev nDCG@10':>11}  {'seconds':>7}  {'state':<8}  what was tried"]
    for trial in order:
        dev = "-" if trial.dev is None else f"{trial.dev:.4f}"
        tried = " ".join(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
                         for key, value in trial.params.items())  # fmt: skip
        lines.append(f"{trial.number + 1:>5}  {dev:>11}  {trial.seconds:>7.0f}  {trial.state:<8}  {tried}")
    return "\n".join(lines)
