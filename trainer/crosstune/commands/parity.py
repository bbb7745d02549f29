"""`crosstune parity`: whether a live server ranks as the export does."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption


def register(app: typer.Typer) -> None:
    app.command()(parity)


def parity(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="An export folder.")],
    url: Annotated[str, typer.Option(help="The server to ask.")],
    style: Annotated[str, typer.Option(help="Its wire format: cohere, jina, voyage, tei, infinity or vllm.")],
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="The run folder with the dev queries; the one that the export lies in without.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model to ask for.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="Dev queries to ask, all their candidates.")] = 50,
    min_tau: Annotated[
        float, typer.Option(min=-1, max=1, help="Least Kendall tau to the helper, mean over the queries.")
    ] = 0.99,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 4,
    documents_per_request: Annotated[
        int | None, typer.Option(min=1, help="At most (tei 32, others 1000).")
    ] = None,
    timeout_seconds: Annotated[float, typer.Option(min=0.1, help="For an answer.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw of the dev queries.")] = 13,
    as_json: JsonOption = False,
) -> None:
    """Ask a live server for a run's dev queries and compare its order with the helper's: exit 1 below
    --min-tau."""
    from crosstune.commands.rerank_options import endpoint_settings
    from crosstune.endpoints.load import Load
    from crosstune.live_parity import live_parity

    settings = endpoint_settings("--url", url, style, model, api_key_env, documents_per_request)
    load = Load(concurrency=concurrency, timeout_seconds=timeout_seconds, resumes=False)
    found = live_parity(export, run, settings, load, queries, seed, min_tau)
    typer.echo(json.dumps({"schema": 1, **asdict(found)}, ensure_ascii=False) if as_json else str(found))
