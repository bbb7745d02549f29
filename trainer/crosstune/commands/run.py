"""`crosstune run` and the commands of its stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import AllowWorseOption, JsonOption

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="For example train.epochs=1 run_dir=runs/mine."),
]

STAGES = {
    "mine": "Draw training groups from the first stage's candidates.",
    "adapt": "Let the base learn the corpus by its masked words (adapt.steps); goes on after a kill.",
    "train": "Train the cross-encoder; goes on from the last checkpoint after a kill.",
}


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(retrieve)
    for name, text in STAGES.items():
        _register_stage(app, name, text)
    app.command()(export)


def run(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    query: Annotated[
        str | None, typer.Option(help="Afterwards, rank the collection for this query with the export.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run and what is done.")] = False,
    force: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Do this stage and those after it again.")
    ] = None,
    allow_worse: AllowWorseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run all stages of a recipe, skipping those that are up to date."""
    from crosstune import execute

    words = _with_worse(overrides, allow_worse)
    execute.run(recipe, words, query=query, dry_run=dry_run, force=force, as_json=as_json)


def retrieve(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="First choose BM25's k1 and b on the dev split.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the collection and retrieve the first stage's candidates."""
    from crosstune import execute

    if tune:
        execute.tune_and_retrieve(recipe, overrides or [], as_json=as_json)
    else:
        execute.run_one("retrieve", recipe, overrides or [], as_json=as_json)


def export(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|MODEL",
            help="A YAML file or the name of a shipped recipe; with --out a cross-encoder that is there "
            "already: hub:NAME, package:NAME/FOLDER or a folder.",
        ),
    ],
    overrides: OverridesArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="EXPORT",
            help="Of a model: the folder to write; an earlier export there is replaced, all else refused.",
        ),
    ] = None,
    allow_worse: AllowWorseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the folder that serving systems load, checked against the model."""
    from crosstune import execute
    from crosstune.errors import InputError

    if out is not None:
        from crosstune.existing_model import export_existing
        from crosstune.progress import say

        if allow_worse:
            raise InputError("--allow-worse: belongs to a recipe; nothing is measured of a model with --out")
        export_existing(recipe, out, overrides or [])
        typer.echo(json.dumps({"folder": str(out)})) if as_json else say(f"written to {out}")
        return
    if recipe.startswith(("hub:", "package:")) or (Path(recipe) / "config.json").is_file():
        raise InputError(f"{recipe}: is a model; --out EXPORT says where its export goes")
    execute.run_one("export", recipe, _with_worse(overrides, allow_worse), as_json=as_json)


def _with_worse(overrides: list[str] | None, allow_worse: bool) -> list[str]:
    return [*(overrides or []), *(["export.allow_worse=true"] if allow_worse else [])]


def _register_stage(app: typer.Typer, name: str, text: str) -> None:
    def command(
        recipe: RecipeArgument, overrides: OverridesArgument = None, as_json: JsonOption = False
    ) -> None:
        from crosstune import execute

        execute.run_one(name, recipe, overrides or [], as_json=as_json)

    command.__doc__ = text
    app.command(name)(command)
