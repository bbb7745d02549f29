"""Cohere's `POST /v2/rerank` (its API reference, version 2)."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from crosstune.serve.http.exchange import CURRENT
from crosstune.serve.http.refusal import Kind, Refusal
from crosstune.serve.http.service import Lengths
from crosstune.serve.http.wire.style import Body, Count, Handler, Place, Reply, Style, Texts, Words

if TYPE_CHECKING:
    from crosstune.serve.http.service import Service

DOCUMENTS_A_SEARCH = 100
"""Cohere counts a query with up to so many documents as one search unit."""
DOCUMENT_TOKENS = 4096


class Request(Body):
    """A `null` is as good as a field left out: LangChain sends one."""

    model: str
    query: Words
    documents: Texts
    top_n: Annotated[Count, Field(ge=1)] | None = None
    max_tokens_per_doc: Annotated[Count, Field(ge=1)] | None = DOCUMENT_TOKENS
    priority: Annotated[int, Field(ge=0, le=999, description="lower goes first")] | None = 0
    _unknown: int = PrivateAttr(0)
    _spans: bool = PrivateAttr(False)

    @model_validator(mode="wrap")
    @classmethod
    def _counted(cls, value: Any, validate: ModelWrapValidatorHandler[Request]) -> Request:
        """How many fields are not known is all that is kept of them."""
        request = validate(value)
        if isinstance(value, dict):
            request._unknown = len(value.keys() - cls.model_fields.keys())
            request._spans = "relevant_spans" in value
        return request


class Result(Reply):
    index: Place
    relevance_score: Annotated[float, Field(ge=0, le=1)]


class Version(Reply):
    version: str
    is_experimental: bool = False


class BilledUnits(Reply):
    search_units: int


class Tokens(Reply):
    input_tokens: int
    output_tokens: int = 0


class Meta(Reply):
    api_version: Version
    billed_units: BilledUnits
    tokens: Tokens
    warnings: list[str] | None = None


class Response(Reply):
    id: str
    results: list[Result]
    meta: Meta


class Error(Reply):
    message: str


def handlers(service: Service) -> Mapping[str, Handler]:
    async def rerank(body: Request) -> Response:
        if body._spans:
            raise Refusal("invalid", "relevant_spans: this model gives no spans; leave the field out")
        answer = await service.rank(
            body.query,
            body.documents,
            model=body.model,
            top=body.top_n,
            lengths=Lengths(document_tokens=body.max_tokens_per_doc or DOCUMENT_TOKENS),
            priority=body.priority or 0,
        )
        meta = Meta(
            api_version=Version(version="2"),
            billed_units=BilledUnits(search_units=ceil(len(body.documents) / DOCUMENTS_A_SEARCH)),
            tokens=Tokens(input_tokens=answer.tokens),
            warnings=_warnings(body._unknown, answer.cut),
        )
        results = [Result(index=hit.index, relevance_score=hit.score) for hit in answer.hits]
        return Response(id=CURRENT.get().request_id, results=results, meta=meta)

    return {"/v2/rerank": rerank}


def _warnings(unknown: int, cut: int) -> list[str] | None:
    warnings = [f"{unknown} unknown fields were passed over"] if unknown else []
    if cut:
        warnings.append(f"{cut} documents were shortened to the model's or the request's length")
    return warnings or None


def _reply(_status: int, _kind: Kind, message: str) -> Reply:
    return Error(message=message)


STYLE = Style(
    "cohere",
    handlers,
    ("/v2/rerank",),
    Error,
    _reply,
    {"invalid": 400, "empty": 400, "too_many": 400, "too_long": 400},
)
