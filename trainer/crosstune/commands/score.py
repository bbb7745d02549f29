"""`crosstune score`: a file of pairs of any size. Needs neither torch nor a recipe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption
from crosstune.commands.output import echo_json


def register(app: typer.Typer) -> None:
    app.command()(score)


def score(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="An export folder.")],
    pairs: Annotated[
        Path,
        typer.Option(metavar="FILE", help="JSONL (.gz too) or Parquet with both texts, or a TREC run."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL, or a TREC run when the input is one.")],
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a TREC run: queries.jsonl (_id, text).")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a TREC run: corpus.jsonl (_id, title, text).")
    ] = None,
    query_field: Annotated[str, typer.Option(help="Field or column with the query.")] = "query",
    document_field: Annotated[str, typer.Option(help="Field or column with the document.")] = "document",
    keep: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A field to copy to the output; several times.")
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="A format of the export (onnx, onnx-int8, openvino, openvino-bf16, openvino-int8), or auto."
        ),
    ] = "auto",
    engine: Annotated[
        str, typer.Option(help="local, or ray: the machines of the cluster at RAY_ADDRESS, or this one.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Of --engine ray: processes; one a machine by default.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score a file of pairs with an exported model; after a kill the same command goes on."""
    from crosstune.progress import say
    from crosstune.serve.bulk import Fields, ScoreRequest, score_file

    fields = Fields(query_field, document_field, tuple(keep or ()))
    request = ScoreRequest(export, pairs, out, queries, corpus, fields, backend, overwrite, engine, workers)
    done = score_file(request)
    if as_json:
        echo_json(asdict(done))
    windowed = f"{done.windowed} read in windows, " if done.windowed else ""
    say(
        f"{done.out}: {done.pairs} pairs, {done.kept} of them from before; {windowed}{done.cut} cut by the "
        "length rule"
    )
