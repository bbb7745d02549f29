"""Voyage's `POST /v1/rerank`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from crosstune.serve.http.refusal import Kind
from crosstune.serve.http.service import Lengths
from crosstune.serve.http.wire.style import Body, Count, Handler, Place, Reply, Style, Texts, Words

if TYPE_CHECKING:
    from crosstune.serve.http.service import Service


class Request(Body):
    query: Words
    documents: Texts
    model: str
    top_k: Annotated[Count, Field(ge=1)] | None = None
    return_documents: bool | None = False
    truncation: bool | None = Field(True, description="false: a document that is too long is an error")


class Result(Reply):
    index: Place
    relevance_score: Annotated[float, Field(ge=0, le=1)]


class ResultWithDocument(Result):
    document: str


class Usage(Reply):
    total_tokens: int


class Response(Reply):
    object: Literal["list"] = "list"
    data: list[ResultWithDocument | Result]
    model: str
    usage: Usage


class Error(Reply):
    detail: str


def handlers(service: Service) -> Mapping[str, Handler]:
    async def rerank(body: Request) -> Response:
        answer = await service.rank(
            body.query,
            body.documents,
            model=body.model,
            top=body.top_k,
            lengths=Lengths(refuse=body.truncation is False),
        )
        data: list[ResultWithDocument | Result] = []
        for hit in answer.hits:
            if body.return_documents:
                text = body.documents[hit.index]
                data.append(ResultWithDocument(index=hit.index, relevance_score=hit.score, document=text))
            else:
                data.append(Result(index=hit.index, relevance_score=hit.score))
        return Response(data=data, model=answer.model, usage=Usage(total_tokens=answer.tokens))

    return {"/v1/rerank": rerank}


def _reply(_status: int, _kind: Kind, message: str) -> Reply:
    return Error(detail=message)


STYLE = Style(
    "voyage",
    handlers,
    ("/v1/rerank",),
    Error,
    _reply,
    {"invalid": 400, "empty": 400, "too_many": 400, "too_long": 400, "model": 400},
)
