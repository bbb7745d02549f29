"""Serving without torch: `Reranker` runs an export folder on onnxruntime and tokenizers."""

from crosstune.serve.documents import rank_command, read_documents
from crosstune.serve.fusion import Fusion
from crosstune.serve.reranker import RankedDocument, Reranker, Score

__all__ = ["Fusion", "RankedDocument", "Reranker", "Score", "rank_command", "read_documents"]
