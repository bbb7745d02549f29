"""`/health`, `/ready`, `/info`, `/metrics`, and text-embeddings-inference's own under `/tei`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from crosstune.serve.http import wire
from crosstune.serve.http.search import PATH, search_depth
from crosstune.serve.http.service import Service


class Health(BaseModel):
    status: str


class Example(BaseModel):
    query: str
    split: str


class SearchInfo(BaseModel):
    path: str
    collection: str
    passages: int
    first_stage: str
    depth: int
    note: str | None
    examples: list[Example]


class Info(BaseModel):
    """The first part is what text-embeddings-inference's clients read, about the first model."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    model_type: dict[str, Any]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    models: list[dict[str, Any]]
    paths: dict[str, str]
    limits: dict[str, float]
    search: SearchInfo | None = Field(None, description="what the demo page searches")


def status_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["status"])

    async def health(response: Response) -> Health:
        """200 while the engine works; 503 asks for a restart."""
        response.status_code = 503 if service.batcher.stuck else 200
        return Health(status="stuck" if service.batcher.stuck else "ok")

    async def ready(response: Response) -> Health:
        """200 while new requests are welcome; 503 asks to send them elsewhere."""
        away = service.draining or service.batcher.stuck
        response.status_code = 503 if away else 200
        return Health(status="draining" if service.draining else "stuck" if away else "ready")

    async def info() -> Info:
        return _info(service)

    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=service.metrics.content_type)

    unavailable: dict[int | str, dict[str, Any]] = {503: {"model": Health}}
    for prefix in ("", "/tei"):
        router.add_api_route(f"{prefix}/health", health, response_model=Health, responses=unavailable)
        router.add_api_route(f"{prefix}/info", info, response_model=Info)
        router.add_api_route(f"{prefix}/metrics", metrics, response_class=Response)
    router.add_api_route("/ready", ready, response_model=Health, responses=unavailable)
    return router


def _info(service: Service) -> Info:
    first = service.engines[service.default_model]
    options = service.options
    return Info(
        model_id=first.name,
        model_sha=first.facts["manifest_sha256"],
        model_dtype=first.reranker.precision,
        model_type={"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        max_concurrent_requests=options.max_connections,
        max_input_length=first.rule.max_tokens,
        max_batch_tokens=options.batch_tokens,
        max_client_batch_size=options.max_documents,
        auto_truncate=True,
        tokenization_workers=2,
        version=version("crosstune"),
        models=[
            engine.facts
            | {"tokens_per_second": round(service.batcher.rate(engine))}
            | {"reload_error": service.reload_errors.get(name)}
            for name, engine in service.engines.items()
        ],
        paths={path: style.name for path, (style, _) in wire.paths(options.style).items()},
        limits={
            "max_body_bytes": options.max_body_bytes,
            "max_documents": options.max_documents,
            "queue_seconds": options.queue_seconds,
            "timeout_seconds": options.timeout_seconds,
        },
        search=_search_info(service),
    )


def _search_info(service: Service) -> SearchInfo | None:
    found = service.searched
    if found is None:
        return None
    return SearchInfo(
        path=PATH,
        collection=found.name,
        passages=found.passages,
        first_stage=found.first_stage,
        depth=search_depth(service, found),
        note=found.note,
        examples=[Example(query=query, split=split) for query, split in found.examples],
    )
