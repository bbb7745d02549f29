"""The command line. Exit codes: 0 done, 1 a check failed, 2 bad input, 130 stopped by Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from crosstune.errors import CrosstuneError, InputError, MissingExtra
from crosstune.progress import say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Adapt a cross-encoder reranker to your own collection, and prove by how much it helps.",
)

# Some versions of typer bring a click of their own: its usage error is the base of typer's.
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]

INTERRUPTED = 130

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="For example train.epochs=1 run_dir=runs/mine."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Adapt a cross-encoder reranker to your own collection, and prove by how much it helps."""


@app.command()
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
    as_json: JsonOption = False,
) -> None:
    """Run all stages of a recipe, skipping those that are up to date."""
    from crosstune import commands

    commands.run(recipe, overrides or [], query=query, dry_run=dry_run, force=force, as_json=as_json)


def _stage_command(name: str, text: str) -> None:
    def command(
        recipe: RecipeArgument, overrides: OverridesArgument = None, as_json: JsonOption = False
    ) -> None:
        from crosstune import commands

        commands.run_one(name, recipe, overrides or [], as_json=as_json)

    command.__doc__ = text
    app.command(name)(command)


_stage_command("retrieve", "Build the collection and retrieve the first stage's candidates.")
_stage_command("mine", "Draw training groups from the first stage's candidates.")
_stage_command("train", "Train the cross-encoder; goes on from the last checkpoint after a kill.")
_stage_command("evaluate", "Compare first stage, base and tuned model on the test split.")
_stage_command("export", "Write the folder that serving systems load, checked against the trained model.")


@app.command()
def rank(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="An export folder.")],
    query: Annotated[str, typer.Argument(metavar="QUERY")],
    documents: Annotated[
        str, typer.Option(metavar="FILE.jsonl|-", help="One JSON string or object a line; - reads stdin.")
    ],
    top_k: Annotated[int | None, typer.Option(min=1, help="How many to print; all by default.")] = None,
    text_field: Annotated[str, typer.Option(help="The field of an object that holds the text.")] = "text",
    as_json: JsonOption = False,
) -> None:
    """Rank documents for a query with an exported model. Needs neither torch nor a recipe."""
    from crosstune.serve import rank_command

    ranked = rank_command(export, query, documents, text_field, top_k)
    if as_json:
        rows = [
            {"index": r.index, "logit": r.logit, "score": r.score, "document": r.document} for r in ranked
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for place, row in enumerate(ranked, start=1):
            text = row.document if isinstance(row.document, str) else str(row.document[text_field])
            typer.echo(f"{place:3d}  {row.score:.4f}  {' '.join(text.split())[:120]}")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits; an error of the user's is one message, not a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    sys.exit(_guarded(words, debug))


def _guarded(words: list[str], debug: bool) -> int:  # noqa: PLR0911
    try:
        result: Any = app([w for w in words if w != "--debug"], standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED:  # click answers some of the Ctrl-C itself, and silently
            raise KeyboardInterrupt
        return code
    except USAGE_ERROR as error:
        error.show()
        return 2
    except (KeyboardInterrupt, typer.Abort):
        say("stopped; the same command goes on from here")
        return INTERRUPTED
    except CrosstuneError as error:
        return _report(error, error.exit_code, debug)
    except ModuleNotFoundError as error:
        return _report(MissingExtra(f"this command (module {error.name})", "train"), 2, debug)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _report(InputError(f"{where}{error.strerror or error}"), 2, debug)
    except Exception as error:
        say("this should not have happened; please report it with the traceback that --debug shows")
        return _report(error, 3, debug)


def _report(error: Exception, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    say(f"error: {error}" if isinstance(error, CrosstuneError) else f"error: {type(error).__name__}: {error}")
    return code


if __name__ == "__main__":
    main()
