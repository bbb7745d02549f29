"""text-embeddings-inference's `POST /rerank`: a bare array, in the order of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from crosstune.serve.http.refusal import Kind
from crosstune.serve.http.service import Lengths
from crosstune.serve.http.wire.style import Body, Handler, Place, Reply, Style, Texts, Words

if TYPE_CHECKING:
    from crosstune.serve.http.service import Service

ERROR_TYPES: dict[Kind, str] = {
    "empty": "Empty",
    "too_long": "Tokenizer",
    "overloaded": "Overloaded",
    "timeout": "Unhealthy",
    "backend": "Backend",
    "internal": "Backend",
}


class Request(Body):
    query: Words
    texts: Texts
    truncate: bool | None = Field(None, description="false: a text that is too long is an error")
    truncation_direction: Literal["right", "Right"] = Field("right", description="the model cuts only there")
    raw_scores: bool = False
    return_text: bool = False


class Rank(Reply):
    index: Place
    score: float


class RankWithText(Rank):
    text: str


class Error(Reply):
    error: str
    error_type: str


def handlers(service: Service) -> Mapping[str, Handler]:
    async def rerank(body: Request) -> list[RankWithText | Rank]:
        lengths = Lengths(refuse=body.truncate is False)
        answer = await service.rank(body.query, body.texts, lengths=lengths)
        ranks: list[RankWithText | Rank] = []
        for hit in answer.hits:
            score = hit.logit if body.raw_scores else hit.score
            if body.return_text:
                ranks.append(RankWithText(index=hit.index, score=score, text=body.texts[hit.index]))
            else:
                ranks.append(Rank(index=hit.index, score=score))
        return ranks

    return {"/rerank": rerank}


def _reply(_status: int, kind: Kind, message: str) -> Reply:
    return Error(error=message, error_type=ERROR_TYPES.get(kind, "Validation"))


STYLE = Style(
    "tei",
    handlers,
    ("/rerank",),
    Error,
    _reply,
    {"empty": 400, "too_many": 413, "backend": 424},
)
