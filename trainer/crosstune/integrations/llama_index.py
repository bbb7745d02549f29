"""LlamaIndex: a node postprocessor, for `query_engine(node_postprocessors=[...])`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crosstune.errors import InputError
from crosstune.integrations.hits import Hit, first_stage, missing_package, open_reranker, shown_score
from crosstune.serve import Reranker

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
except ModuleNotFoundError as error:
    raise missing_package("llama_index", "llama-index-core") from error


class CrosstuneRerank(BaseNodePostprocessor):
    """Nodes best first, at most `top_k`, with the new score; what a `budget_ms` did not reach stands below,
    with `None`.

    `export`: the export folder. `fuse`: rank by the fusion with the nodes' own scores that the export kept;
    the new score is then the fused one and not 0 to 1. `metadata_mode`: which metadata the model reads beside
    the text; none by default, as in training.
    """

    export: str
    top_k: int | None = None
    backend: str = "auto"
    budget_ms: float | None = None
    fuse: bool = False
    metadata_mode: MetadataMode = MetadataMode.NONE
    _reranker: Reranker = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._reranker = open_reranker(self.export, self.backend, fuse=self.fuse)

    @classmethod
    def class_name(cls) -> str:
        return "CrosstuneRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        hits = self._reranker.rank(
            _query(query_bundle),
            self._texts(nodes),
            self.top_k,
            first_stage_scores=self._first_stage(nodes),
            budget_ms=self.budget_ms,
        )
        return _with_scores(nodes, hits)

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        hits = await self._reranker.arank(
            _query(query_bundle),
            self._texts(nodes),
            self.top_k,
            first_stage_scores=self._first_stage(nodes),
            budget_ms=self.budget_ms,
        )
        return _with_scores(nodes, hits)

    def _texts(self, nodes: Sequence[NodeWithScore]) -> list[str]:
        return [node.node.get_content(metadata_mode=self.metadata_mode) for node in nodes]

    def _first_stage(self, nodes: Sequence[NodeWithScore]) -> list[float] | None:
        return first_stage([node.score for node in nodes], "the node's score") if self.fuse else None


def _query(bundle: QueryBundle | None) -> str:
    if bundle is None:
        raise InputError("CrosstuneRerank: no query was given; pass query_bundle or query_str")
    return bundle.query_str


def _with_scores(nodes: Sequence[NodeWithScore], hits: Sequence[Hit]) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[hit.index].node, score=shown_score(hit)) for hit in hits]
