"""The nearest vectors, by faiss: exact up to a size, and by an HNSW graph beyond it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crosstune.cache import cached_folder, content_key
from crosstune.data.first_stages.encoder import Table
from crosstune.data.first_stages.protocol import needs_extra
from crosstune.errors import InputError, first_line
from crosstune.progress import say

if TYPE_CHECKING:
    from crosstune.data.first_stages.settings import DenseSettings

CHECKED_QUERIES = 200
GRAPH = "hnsw.faiss"


class VectorIndex:
    """Inner products over `[passages, dimension]`. A graph is held against the exact answer on its first
    queries, since what it misses no reranker brings back (HNSW: Malkov & Yashunin 2016, arXiv:1603.09320)."""

    def __init__(self, vectors: Table, settings: DenseSettings) -> None:
        """Raises `MissingExtra` without faiss."""
        with needs_extra("first_stage.kind=dense", "dense"):
            import faiss
        self._ef_search = settings.hnsw_ef_search
        self.exact = len(vectors) <= settings.exact_up_to
        vectors = np.ascontiguousarray(vectors)
        self._index: Any
        if self.exact:
            self._vectors = None  # the index has them
            self._index = faiss.IndexFlatIP(vectors.shape[1])
            self._index.add(vectors)
        else:
            self._vectors = vectors
            self._index = _graph(vectors, settings)
        self._checked: Table | None = None
        self._depth = 0

    def search(self, queries: Table, depth: int) -> tuple[Table, Any]:
        """Scores and places, each `[queries, depth]`; a place of -1 is none."""
        depth = min(depth, self._index.ntotal)
        if not self.exact:
            self._index.hnsw.efSearch = max(self._ef_search, depth)
        if self._checked is None:
            self._checked, self._depth = queries[:CHECKED_QUERIES], depth
        scores, places = self._index.search(np.ascontiguousarray(queries), depth)
        return scores, places

    def recall_against_exact(self) -> float | None:
        """The share of the exact answer that the graph gives; `None` before a search."""
        import faiss

        if self._vectors is None:
            return 1.0
        if self._checked is None:
            return None
        _, found = self.search(self._checked, self._depth)
        _, exact = faiss.knn(self._checked, self._vectors, self._depth, faiss.METRIC_INNER_PRODUCT)
        hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), exact.tolist(), strict=True))
        return hits / exact.size


def _graph(vectors: Table, settings: DenseSettings) -> Any:
    """Kept by content: several threads build it, and no two builds are alike. Raises `InputError` for one
    that is damaged, and on a full disk."""
    import faiss

    shape = settings.model_dump(include={"hnsw_m", "hnsw_ef_construction"})

    def save(folder: Path) -> None:
        say(f"  building an HNSW graph over {len(vectors)} passages")
        index = faiss.IndexHNSWFlat(vectors.shape[1], settings.hnsw_m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = settings.hnsw_ef_construction
        index.add(vectors)
        with (folder / GRAPH).open("wb") as handle:  # faiss's own files end well on a full disk
            faiss.write_index(index, faiss.PyCallbackIOWriter(handle.write))  # type: ignore[attr-defined]
            handle.flush()
            os.fsync(handle.fileno())

    path = cached_folder("hnsw", content_key([], shape, faiss.__version__, _digest(vectors)), save) / GRAPH
    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path}: the graph cannot be read ({first_line(error)}); delete its folder, and it is built anew"
        ) from None


def _digest(vectors: Table) -> str:
    import hashlib

    return hashlib.sha256(vectors.data).hexdigest()
