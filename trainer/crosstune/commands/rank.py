"""`crosstune rank`: needs neither torch nor a recipe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crosstune.commands.options import JsonOption
from crosstune.commands.output import echo_json

WORDS_SHOWN = 5


def register(app: typer.Typer) -> None:
    app.command()(rank)


def rank(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="An export folder.")],
    query: Annotated[str, typer.Argument(metavar="QUERY")],
    documents: Annotated[
        str, typer.Option(metavar="FILE.jsonl|-", help="One JSON string or object a line; - reads stdin.")
    ],
    top_k: Annotated[int | None, typer.Option(min=1, help="How many to print; all by default.")] = None,
    text_field: Annotated[str, typer.Option(help="The field of an object that holds the text.")] = "text",
    first_stage_field: Annotated[
        str | None,
        typer.Option(help="The field of an object that holds the first stage's score, to fuse with."),
    ] = None,
    above_threshold: Annotated[
        bool, typer.Option("--above-threshold", help="Only those above the export's threshold.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="The words whose removal changes the logit most; scores each printed document 102 times.",
        ),
    ] = False,
    backend: Annotated[
        str,
        typer.Option(
            help="A format of the export (onnx, onnx-int8, openvino, openvino-bf16, openvino-int8), or auto."
        ),
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Rank documents for a query with an exported model. Needs neither torch nor a recipe."""
    from crosstune.serve import rank_command

    ranked = rank_command(
        export, query, documents, text_field, top_k, first_stage_field, backend, above_threshold, explain
    )
    if as_json:
        rows = [
            {
                "index": r.index,
                "logit": r.logit,
                "score": r.score,
                "fused": r.fused,
                "probability": r.probability,
                "window": r.window,
                "document": r.document,
                **({"explanation": asdict(r.explanation)} if r.explanation else {}),
            }
            for r in ranked
        ]
        echo_json(rows)
    else:
        for place, row in enumerate(ranked, start=1):
            text = row.document if isinstance(row.document, str) else str(row.document[text_field])
            typer.echo(f"{place:3d}  {row.shown:.4f}  {' '.join(text.split())[:120]}")
            if row.explanation:
                words = (f"{word.word} {word.change:+.2f}" for word in row.explanation.words[:WORDS_SHOWN])
                typer.echo(f"             without: {', '.join(words) or 'has no words'}")
