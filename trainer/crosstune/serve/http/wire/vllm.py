"""vLLM's `/rerank` (also under `/v1` and `/v2`) and `/score`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AliasChoices, Field

from crosstune.serve.http.exchange import CURRENT
from crosstune.serve.http.refusal import Kind, Refusal
from crosstune.serve.http.service import Hit, Lengths
from crosstune.serve.http.wire.style import Body, Count, Handler, Place, Reply, Style, Texts, Words

if TYPE_CHECKING:
    from crosstune.serve.http.service import Service

TYPES: dict[int, str] = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "TooManyRequestsError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}
Truncate = Annotated[Count, Field(ge=-1, description="-1: the model's own length")]
OneOrMany = Annotated[Words | Texts, Field(description="one text, or a list")]


class Common(Body):
    """What `/rerank` and `/score` share. An alias is an older name of vLLM's, or another one of today."""

    model: str | None = None
    truncate_prompt_tokens: Truncate | None = None
    truncation_side: Literal["right"] | None = Field(None, description="the model cuts only there")
    use_activation: bool | None = Field(
        None,
        validation_alias=AliasChoices("use_activation", "activation", "softmax"),
        description="false: logits",
    )
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31, description="lower goes first")] = 0

    def number(self, hit: Hit) -> float:
        return hit.logit if self.use_activation is False else hit.score


class RerankRequest(Common):
    query: Words
    documents: OneOrMany
    top_n: Annotated[Count, Field(description="0 or less: all")] = 0
    max_tokens_per_doc: Annotated[Count, Field(ge=0, description="0: no limit")] = 0


class ScoreRequest(Common):
    """`queries` with `documents`, or `text_1` with `text_2`: one to one, one to many, or pair by pair."""

    queries: OneOrMany | None = None
    documents: OneOrMany | None = Field(None, validation_alias=AliasChoices("documents", "items"))
    text_1: OneOrMany | None = Field(None, validation_alias=AliasChoices("text_1", "data_1"))
    text_2: OneOrMany | None = Field(None, validation_alias=AliasChoices("text_2", "data_2"))


class Usage(Reply):
    prompt_tokens: int
    total_tokens: int


class Document(Reply):
    text: str


class Result(Reply):
    index: Place
    document: Document
    relevance_score: float


class RerankResponse(Reply):
    id: str
    model: str
    usage: Usage
    results: list[Result]


class ScoreData(Reply):
    index: Place
    object: Literal["score"] = "score"
    score: float


class ScoreResponse(Reply):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[ScoreData]
    usage: Usage


class Problem(Reply):
    message: str
    type: str
    param: str | None = None
    code: int


class Error(Reply):
    error: Problem


def handlers(service: Service) -> Mapping[str, Handler]:
    async def rerank(body: RerankRequest) -> RerankResponse:
        documents = _listed(body.documents)
        answer = await service.rank(
            body.query,
            documents,
            model=body.model,
            top=body.top_n if body.top_n > 0 else None,
            lengths=_lengths(body.truncate_prompt_tokens, body.max_tokens_per_doc),
            priority=body.priority,
        )
        results = [
            Result(
                index=hit.index,
                document=Document(text=documents[hit.index]),
                relevance_score=body.number(hit),
            )
            for hit in answer.hits
        ]
        usage = Usage(prompt_tokens=answer.tokens, total_tokens=answer.tokens)
        identity = f"rerank-{CURRENT.get().request_id}"
        return RerankResponse(id=identity, model=answer.model, usage=usage, results=results)

    async def score(body: ScoreRequest) -> ScoreResponse:
        answer = await service.score(
            _pairs(body),
            model=body.model,
            lengths=_lengths(body.truncate_prompt_tokens, 0),
            priority=body.priority,
        )
        return ScoreResponse(
            id=f"score-{CURRENT.get().request_id}",
            created=int(time.time()),
            model=answer.model,
            data=[ScoreData(index=hit.index, score=body.number(hit)) for hit in answer.hits],
            usage=Usage(prompt_tokens=answer.tokens, total_tokens=answer.tokens),
        )

    return {
        "/rerank": rerank,
        "/v1/rerank": rerank,
        "/v2/rerank": rerank,
        "/score": score,
        "/v1/score": score,
    }


def _lengths(pair: int | None, document: int) -> Lengths:
    if pair == 0:
        raise Refusal("invalid", "truncate_prompt_tokens is 0; -1 or at least 1 was expected")
    return Lengths(
        document_tokens=document or None, pair_tokens=pair if pair is not None and pair > 0 else None
    )


def _pairs(body: ScoreRequest) -> list[tuple[str, str]]:
    queries, documents = (
        (body.queries, body.documents) if body.queries is not None else (body.text_1, body.text_2)
    )
    if queries is None or documents is None:
        raise Refusal("invalid", "queries with documents, or text_1 with text_2, were expected")
    first, second = _listed(queries), _listed(documents)
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        raise Refusal(
            "invalid", f"{len(first)} queries and {len(second)} documents; one, or as many, were expected"
        )
    return list(zip(first, second, strict=True))


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _reply(status: int, _kind: Kind, message: str) -> Reply:
    problem = Problem(message=message, type=TYPES.get(status, "BadRequestError"), code=status)
    return Error(error=problem)


STYLE = Style(
    "vllm",
    handlers,
    ("/rerank", "/v1/rerank", "/v2/rerank", "/score", "/v1/score"),
    Error,
    _reply,
    {"invalid": 400, "empty": 400, "too_many": 400, "too_long": 400},
)
