"""`crosstune serve`: the HTTP service. Needs the extra `serve` and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from crosstune.serve.http.searched import OpenSearched, Searched


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    exports: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]EXPORT...", help="Export folders; the first one is the default model."
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    style: Annotated[
        str | None,
        typer.Option(
            help="Wire format of the paths without a prefix: cohere, jina, voyage, tei, infinity, vllm."
        ),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="API keys, a line each: a name, a space, the key.")
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FORMAT",
            help="auto, onnx, onnx-int8, openvino, openvino-bf16 or openvino-int8: of all models, or of "
            "the one named; several times.",
        ),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|COLLECTION",
            help="Searched from the demo page, by its first stage and then the model: a run folder, or "
            "beir:PATH or KIND:PATH as crosstune convert reads it, with the first stage of the export's "
            "recipe. Needs the extra train.",
        ),
    ] = None,
    production: Annotated[bool, typer.Option("--production", help="Without the demo page.")] = False,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="Queries and documents in the log.")] = False,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Tokens scored together.")] = 4096,
    queue_seconds: Annotated[
        float, typer.Option(min=0.1, help="Work that may wait; beyond it requests get 429.")
    ] = 10.0,
    timeout_seconds: Annotated[float, typer.Option(min=0.1, help="For an answer; beyond it 503.")] = 30.0,
    max_body_bytes: Annotated[int, typer.Option(min=1024, help="Of a request.")] = 8 << 20,
    max_documents: Annotated[int, typer.Option(min=1, help="Of a request.")] = 1000,
    read_seconds: Annotated[
        float, typer.Option(min=0.1, help="For a client to send its request, and to take an answer.")
    ] = 10.0,
    drain_seconds: Annotated[
        float, typer.Option(min=0.0, help="After SIGTERM: how long /ready says 503 before the door closes.")
    ] = 0.0,
) -> None:
    """Serve exported models over HTTP in the formats of Cohere, Jina, Voyage, TEI, Infinity and vLLM."""
    from crosstune.errors import MissingExtra

    try:
        from crosstune.serve.http.options import Options
        from crosstune.serve.http.server import serve as serve_models
    except ModuleNotFoundError as error:
        raise MissingExtra(f"crosstune serve (module {error.name})", "serve") from None

    serve_models(
        exports,
        backend or [],
        Options(
            host=host,
            port=port,
            style=style,
            keys=keys,
            production=production,
            log_texts=log_texts,
            batch_tokens=batch_tokens,
            queue_seconds=queue_seconds,
            timeout_seconds=timeout_seconds,
            max_body_bytes=max_body_bytes,
            max_documents=max_documents,
            read_seconds=read_seconds,
            drain_seconds=drain_seconds,
        ),
        None if collection is None else _opener(collection),
    )


def _opener(where: str) -> OpenSearched:
    from crosstune.errors import MissingExtra

    def open_searched(recipe: Mapping[str, Any]) -> Searched:
        try:
            from crosstune.collection_search import open_collection

            return open_collection(where, recipe)
        except ModuleNotFoundError as error:
            raise MissingExtra(f"crosstune serve --collection (module {error.name})", "train") from None

    return open_searched
