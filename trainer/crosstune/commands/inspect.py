"""`crosstune inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption


def register(app: typer.Typer) -> None:
    app.command()(inspect)


def inspect(
    target: Annotated[
        Path, typer.Argument(metavar="RUN|COLLECTION", help="A run folder, or a BEIR folder to audit.")
    ],
    query_id: Annotated[
        str | None, typer.Argument(metavar="[QUERY-ID]", help="Tell the story of this train query of a run.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the audit goes; RUN/audit or runs/audit-NAME by default."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Audit a run or a collection, or show what mining did with each candidate of a query, and why."""
    from crosstune import inspection
    from crosstune.errors import InputError

    if query_id is None:
        typer.echo(inspection.audit(target, out, as_json=as_json))
    else:
        if out is not None:
            raise InputError("--out: the story of a query is printed and has no file; leave it out")
        typer.echo(inspection.story(target, query_id, as_json=as_json))
