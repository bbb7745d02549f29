"""`crosstune review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(review)


def review(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that was mined.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="On this machine alone.")] = 8765,
) -> None:
    """Serve a page that asks of suspicious negatives whether they are relevant; mine.review obeys it."""
    from crosstune.review.serve import serve

    serve(run, port)
