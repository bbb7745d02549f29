"""LangChain: a document compressor, for example in a `ContextualCompressionRetriever`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crosstune.integrations.hits import Hit, first_stage, missing_package, open_reranker, shown_score
from crosstune.serve import Reranker

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from pydantic import PrivateAttr
except ModuleNotFoundError as error:
    raise missing_package("langchain", "langchain-core") from error


class CrosstuneCompressor(BaseDocumentCompressor):
    """Documents best first, at most `top_k`, as copies with `relevance_score` and `logit` in their metadata;
    what a `budget_ms` did not reach stands below, without these.

    `export`: the export folder. `first_stage_key`: the metadata key with the first stage's score, to rank by
    the fusion that the export kept; `relevance_score` is then the fused score and not 0 to 1.
    """

    export: str
    top_k: int | None = None
    backend: str = "auto"
    budget_ms: float | None = None
    first_stage_key: str | None = None
    _reranker: Reranker = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._reranker = open_reranker(self.export, self.backend, fuse=self.first_stage_key is not None)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        del callbacks
        hits = self._reranker.rank(
            query,
            [document.page_content for document in documents],
            self.top_k,
            first_stage_scores=self._first_stage(documents),
            budget_ms=self.budget_ms,
        )
        return [_with_score(documents[hit.index], hit) for hit in hits]

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        del callbacks
        hits = await self._reranker.arank(
            query,
            [document.page_content for document in documents],
            self.top_k,
            first_stage_scores=self._first_stage(documents),
            budget_ms=self.budget_ms,
        )
        return [_with_score(documents[hit.index], hit) for hit in hits]

    def _first_stage(self, documents: Sequence[Document]) -> list[float] | None:
        if (key := self.first_stage_key) is None:
            return None
        return first_stage([document.metadata.get(key) for document in documents], f"metadata[{key!r}]")


def _with_score(document: Document, hit: Hit) -> Document:
    metadata = {k: v for k, v in document.metadata.items() if k not in ("relevance_score", "logit")}
    if (score := shown_score(hit)) is not None:
        metadata |= {"relevance_score": score, "logit": hit.logit}
    return document.model_copy(update={"metadata": metadata})
