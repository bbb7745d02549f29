"""Infinity's `POST /rerank`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from crosstune.serve.http.exchange import CURRENT
from crosstune.serve.http.refusal import Kind
from crosstune.serve.http.wire.style import Body, Count, Handler, Place, Reply, Style, Texts, Words

if TYPE_CHECKING:
    from crosstune.serve.http.service import Service


class Request(Body):
    query: Words
    documents: Texts
    return_documents: bool = False
    raw_scores: bool = False
    model: str | None = None
    top_n: Annotated[Count, Field(ge=1)] | None = None


class Result(Reply):
    relevance_score: float
    index: Place
    document: str | None = None


class Usage(Reply):
    prompt_tokens: int
    total_tokens: int


class Response(Reply):
    object: Literal["rerank"] = "rerank"
    results: list[Result]
    model: str
    usage: Usage
    id: str
    created: int


class Problem(Reply):
    message: str
    type: str
    param: str | None = None
    code: int


class Error(Reply):
    error: Problem


def handlers(service: Service) -> Mapping[str, Handler]:
    async def rerank(body: Request) -> Response:
        answer = await service.rank(body.query, body.documents, model=_model(body), top=body.top_n)
        results = [
            Result(
                relevance_score=hit.logit if body.raw_scores else hit.score,
                index=hit.index,
                document=body.documents[hit.index] if body.return_documents else None,
            )
            for hit in answer.hits
        ]
        return Response(
            results=results,
            model=answer.model,
            usage=Usage(prompt_tokens=answer.tokens, total_tokens=answer.tokens),
            id=f"infinity-{CURRENT.get().request_id}",
            created=int(time.time()),
        )

    return {"/rerank": rerank}


def _model(body: Request) -> str | None:
    """Infinity's clients send `default/not-specified` where they name none."""
    return None if body.model == "default/not-specified" else body.model


def _reply(status: int, kind: Kind, message: str) -> Reply:
    return Error(error=Problem(message=message, type=kind, code=status))


STYLE = Style("infinity", handlers, ("/rerank",), Error, _reply)
