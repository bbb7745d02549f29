"""Serving without torch: `Reranker` runs an export folder on onnxruntime and tokenizers."""

from crosstune.serve.documents import rank_command, read_documents
from crosstune.serve.explain import Explanation, WordChange
from crosstune.serve.fusion import Fusion
from crosstune.serve.ranked import (
    Document,
    RankedDocument,
    RankedQuery,
    Ranking,
    Score,
    UnscoredDocument,
)
from crosstune.serve.reranker import Reranker
from crosstune.serve.stream import Query

__all__ = [
    "Document",
    "Explanation",
    "Fusion",
    "Query",
    "RankedDocument",
    "RankedQuery",
    "Ranking",
    "Reranker",
    "Score",
    "UnscoredDocument",
    "WordChange",
    "rank_command",
    "read_documents",
]
