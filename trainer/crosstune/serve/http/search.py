"""`POST /demo/search`: a query over the whole collection, by the first stage and then by the model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from crosstune.serve.http.exchange import CURRENT
from crosstune.serve.http.logs import log_error
from crosstune.serve.http.refusal import Kind, Refusal
from crosstune.serve.http.searched import FoundPassage, Searched, SearchResult
from crosstune.serve.http.service import CHARACTERS, ScoredPairs
from crosstune.serve.http.wire.style import Body, Handler, Place, Reply, Style, Words

if TYPE_CHECKING:
    from crosstune.serve.http.model import Engine
    from crosstune.serve.http.service import Service

PREFIX, OWN = "demo", "/search"
PATH = f"/{PREFIX}{OWN}"
MOST_QUERY = 10_000
"""Characters. A first stage looks up every word, and no person types more."""
MOST_SHOWN = 2_000
"""Characters of a passage that the page gets: a hundred of a megabyte each would be no page."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Request(Body):
    query: Words = Field(description=f"at most {MOST_QUERY} characters; control characters count as spaces")
    model: str | None = Field(None, description="the first one when null")


class Judged(Reply):
    id: str
    split: str
    relevant: int = Field(ge=0, description="passages judged relevant, found or not")


class Result(Reply):
    index: Place = Field(description="place in the first stage's list")
    id: str
    text: str = Field(description=f"its first {MOST_SHOWN} characters")
    characters: int = Field(ge=0, description="of the whole text")
    first_stage_score: float
    relevance_score: Annotated[float, Field(ge=0, le=1)]
    logit: float
    grade: int | None = Field(description="how it was judged for this query")


class Response(Reply):
    """`results`: best first."""

    model: str
    fused: bool = Field(description="ordered by the model and the first stage together")
    judged: Judged | None = Field(description="where the query is one of the collection's own")
    tokens: int
    cut: int = Field(description="passages that the length rule shortened")
    results: list[Result]


class Error(Reply):
    error: str
    type: str


def demo_style(service: Service, searched: Searched) -> Style:
    """The format of the one path that the page has for itself."""
    search = _Search(service, searched)

    def handlers(_: Service) -> Mapping[str, Handler]:
        async def find(body: Request) -> Response:
            query = plain(body.query)
            if not query:
                raise Refusal("empty", "the query is empty; type a few words")
            if len(query) > MOST_QUERY:
                raise Refusal(
                    "too_long", f"a query of {len(query)} characters; at most {MOST_QUERY} are taken"
                )
            return await service.in_time(search.answer(query, body.model))

        return {OWN: find}

    return Style(PREFIX, handlers, (OWN,), Error, _reply)


def plain(query: str) -> str:
    """The query as it is searched and reranked: what is pasted from a PDF holds control characters."""
    return _CONTROLS.sub(" ", query).strip()


def search_depth(service: Service, searched: Searched) -> int:
    """Passages that are searched and reranked, at most."""
    return min(searched.depth, service.options.max_documents)


class _Search:
    """One thread searches: not every engine can be asked by two."""

    def __init__(self, service: Service, searched: Searched) -> None:
        self._service = service
        self._searched = searched
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")

    async def answer(self, query: str, model: str | None) -> Response:
        """Raises `Refusal`."""
        engine = self._service.engine(model)
        found = await self._find(query, engine)
        if not found.passages:
            return _response(found, engine.name, None, [])
        pairs = [(query, passage.text) for passage in found.passages]
        scored = await self._service.scored(pairs, model=engine.name)
        return self._ranked(found, scored)

    async def _find(self, query: str, engine: Engine) -> SearchResult:
        """The search, with a place in the queue for the scoring that will follow."""
        depth = search_depth(self._service, self._searched)
        size = round(self._searched.mean_characters) // CHARACTERS
        tokens = depth * engine.rule.ids(len(query) // CHARACTERS, size)
        with self._service.batcher.admit(engine, tokens):
            try:
                found = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._searched.search, query, depth
                )
            except Exception as error:
                cause = error if self._service.options.log_texts else error.__context__ or error
                log_error("the first stage failed", cause, quotes=not self._service.options.log_texts)
                raise Refusal(
                    "backend", f"{self._searched.first_stage} failed on this query; the log says why"
                ) from None
        CURRENT.get().search_seconds = found.seconds
        return found

    def _ranked(self, found: SearchResult, scored: ScoredPairs) -> Response:
        """In the order of the helper's `rank`: with the first stage's scores where the model's fusion knows
        them."""
        reranker = scored.engine.reranker
        fused = reranker.fusion is not None and self._searched.is_first_stage_of(scored.engine.recipe)
        texts = [passage.text for passage in found.passages]
        first = [passage.score for passage in found.passages] if fused else None
        results = [
            _result(hit.index, found.passages[hit.index], hit.shown, hit.logit)
            for hit in reranker.order(texts, scored.scores, first)
        ]
        return _response(found, scored.engine.name, scored, results, fused)


def _result(index: int, passage: FoundPassage, score: float, logit: float) -> Result:
    return Result(
        index=index,
        id=passage.doc_id,
        text=passage.text[:MOST_SHOWN],
        characters=len(passage.text),
        first_stage_score=passage.score,
        relevance_score=score,
        logit=logit,
        grade=passage.grade,
    )


def _response(
    found: SearchResult,
    model: str,
    scored: ScoredPairs | None,
    results: Sequence[Result],
    fused: bool = False,
) -> Response:
    judged = found.judged
    return Response(
        model=model,
        fused=fused,
        judged=None
        if judged is None
        else Judged(id=judged.query_id, split=judged.split, relevant=judged.relevant),
        tokens=scored.tokens if scored else 0,
        cut=scored.cut if scored else 0,
        results=list(results),
    )


def _reply(_status: int, kind: Kind, message: str) -> Reply:
    return Error(error=message, type=kind)
