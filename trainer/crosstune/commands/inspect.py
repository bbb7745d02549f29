"""`crosstune inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption


def register(app: typer.Typer) -> None:
    app.command()(inspect)


def inspect(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    query_id: Annotated[str, typer.Argument(metavar="QUERY-ID", help="A train query of its collection.")],
    as_json: JsonOption = False,
) -> None:
    """Show a query's positives and what mining did with each of its candidates, and why."""
    from crosstune.inspection import story

    typer.echo(story(run, query_id, as_json=as_json))
