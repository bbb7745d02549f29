"""Haystack: a ranker component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crosstune.errors import InputError
from crosstune.integrations.hits import Hit, first_stage, missing_package, open_reranker, shown_score
from crosstune.serve import Reranker

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ModuleNotFoundError as error:
    raise missing_package("haystack", "haystack-ai") from error


@component
class CrosstuneRanker:
    """Documents best first, at most `top_k`, as copies with the new score; what a `budget_ms` did not reach
    stands below, with `None`."""

    def __init__(
        self,
        export: str,
        top_k: int | None = None,
        backend: str = "auto",
        budget_ms: float | None = None,
        fuse: bool = False,
    ) -> None:
        """`export`: the export folder, read on the first use. `fuse`: rank by the fusion with the documents'
        own scores that the export kept; the new score is then the fused one and not 0 to 1."""
        self.export = export
        self.top_k = top_k
        self.backend = backend
        self.budget_ms = budget_ms
        self.fuse = fuse
        self._reranker: Reranker | None = None

    def warm_up(self) -> None:
        """Reads the export folder. Raises `InputError` for one that cannot be used."""
        if self._reranker is None:
            self._reranker = open_reranker(self.export, self.backend, fuse=self.fuse)

    def to_dict(self) -> dict[str, Any]:
        settings: dict[str, Any] = default_to_dict(
            self,
            export=self.export,
            top_k=self.top_k,
            backend=self.backend,
            budget_ms=self.budget_ms,
            fuse=self.fuse,
        )
        return settings

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CrosstuneRanker:
        made: CrosstuneRanker = default_from_dict(cls, data)
        return made

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """`top_k` here takes the place of the component's own."""
        hits = self._loaded().rank(
            query,
            _texts(documents),
            self.top_k if top_k is None else top_k,
            first_stage_scores=self._first_stage(documents),
            budget_ms=self.budget_ms,
        )
        return {"documents": _with_scores(documents, hits)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, Any]:
        hits = await self._loaded().arank(
            query,
            _texts(documents),
            self.top_k if top_k is None else top_k,
            first_stage_scores=self._first_stage(documents),
            budget_ms=self.budget_ms,
        )
        return {"documents": _with_scores(documents, hits)}

    def _loaded(self) -> Reranker:
        self.warm_up()
        assert self._reranker is not None
        return self._reranker

    def _first_stage(self, documents: Sequence[Document]) -> list[float] | None:
        return first_stage([doc.score for doc in documents], "its score") if self.fuse else None


def _texts(documents: Sequence[Document]) -> list[str]:
    texts = [document.content for document in documents if document.content is not None]
    if len(texts) != len(documents):
        place = next(n for n, document in enumerate(documents) if document.content is None)
        raise InputError(f"document {place} ({documents[place].id}): has no content to rank")
    return texts


def _with_scores(documents: Sequence[Document], hits: Sequence[Hit]) -> list[Document]:
    return [replace(documents[hit.index], score=shown_score(hit)) for hit in hits]
