"""Jina's `POST /v1/rerank`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from crosstune.serve.http.refusal import Kind
from crosstune.serve.http.service import Lengths
from crosstune.serve.http.wire.style import Body, Count, Handler, Many, Place, Reply, Style, Words

if TYPE_CHECKING:
    from crosstune.serve.http.service import Service


class Text(Body):
    text: Words


class Request(Body):
    model: str
    query: Words | Text
    documents: Annotated[list[Words | Text], Many]
    top_n: Annotated[Count, Field(ge=1)] | None = None
    return_documents: bool | None = True
    truncation: bool | None = Field(True, description="false: a document that is too long is an error")


class Document(Reply):
    text: str


class Result(Reply):
    index: Place
    relevance_score: Annotated[float, Field(ge=0, le=1)]


class ResultWithDocument(Result):
    document: str | Document = Field(description="in the form in which it was sent")


class Usage(Reply):
    total_tokens: int
    prompt_tokens: int


class Response(Reply):
    model: str
    object: Literal["list"] = "list"
    usage: Usage
    results: list[ResultWithDocument | Result]


class Detail(Reply):
    type: str
    msg: str


class Error(Reply):
    detail: str
    errors: list[Detail]


def handlers(service: Service) -> Mapping[str, Handler]:
    async def rerank(body: Request) -> Response:
        answer = await service.rank(
            _text(body.query),
            [_text(document) for document in body.documents],
            model=body.model,
            top=body.top_n,
            lengths=Lengths(refuse=body.truncation is False),
        )
        results: list[ResultWithDocument | Result] = []
        for hit in answer.hits:
            if body.return_documents is False:
                results.append(Result(index=hit.index, relevance_score=hit.score))
            else:
                document = _document(body.documents[hit.index])
                results.append(
                    ResultWithDocument(index=hit.index, relevance_score=hit.score, document=document)
                )
        usage = Usage(total_tokens=answer.tokens, prompt_tokens=answer.tokens)
        return Response(model=answer.model, usage=usage, results=results)

    return {"/v1/rerank": rerank}


def _text(value: str | Text) -> str:
    return value if isinstance(value, str) else value.text


def _document(value: str | Text) -> str | Document:
    return value if isinstance(value, str) else Document(text=value.text)


def _reply(_status: int, kind: Kind, message: str) -> Reply:
    return Error(detail=message, errors=[Detail(type=kind, msg=message)])


STYLE = Style("jina", handlers, ("/v1/rerank",), Error, _reply)
