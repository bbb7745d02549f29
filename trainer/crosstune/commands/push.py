"""`crosstune push`: an export to a model hub."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption


def register(app: typer.Typer) -> None:
    app.command()(push)


def push(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="An export folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Made where it is not there yet.")],
    public: Annotated[bool, typer.Option("--public", help="Everybody may read it; private without.")] = False,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="For the card, for example apache-2.0.")
    ] = None,
    message: Annotated[
        str, typer.Option(metavar="TEXT", help="Of the commit.")
    ] = "Upload an export of crosstune",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write what would be uploaded to EXPORT.push, over an earlier one, and send nothing.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Upload an export with its model card to the Hugging Face hub (HF_TOKEN, HF_ENDPOINT), in one commit."""
    from crosstune.export import push as pushing
    from crosstune.progress import say

    if dry_run:
        done = pushing.write_push(export, repository, licence)
    else:
        done = pushing.push(export, repository, message, licence, public=public)
    if as_json:
        typer.echo(json.dumps(asdict(done), ensure_ascii=False))
    what = "written, nothing was sent" if dry_run else "pushed"
    gone = f", {len(done.removed)} of an earlier push removed" if done.removed else ""
    say(f"{what}: {len(done.files)} files{gone}: {done.url}")
