"""Vectors of an encoder, and the passages whose vectors are nearest to the query's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from crosstune.data.first_stages.encoder import Encoder, Table, unit
from crosstune.data.first_stages.vector_cache import passage_vectors
from crosstune.data.first_stages.vector_index import VectorIndex
from crosstune.progress import say
from crosstune.records import Collection

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found
    from crosstune.data.first_stages.settings import DenseSettings


class Dense:
    """Passages are encoded once and kept; queries are encoded at each search, which is what they cost."""

    def __init__(self, collection: Collection, settings: DenseSettings) -> None:
        self._encoder = Encoder(
            settings.model, settings.max_tokens, settings.query_prompt, settings.passage_prompt
        )
        self._settings = settings
        self._ids = list(collection.passages)
        passages = passage_vectors(self._encoder, list(collection.passages.values()))
        self._passages_cut, self._passages_encoded = passages.cut, passages.encoded
        self._queries_cut = 0
        self._index = VectorIndex(self._scaled(passages.vectors), settings)
        if passages.cut:
            say(
                f"  {passages.cut} of {len(self._ids)} passages are longer than the "
                f"{self._encoder.max_tokens} tokens that are encoded; the rest of each is not seen"
            )

    def search(self, queries: Mapping[str, str], depth: int) -> Found:
        encoded = self._encoder.encode(list(queries.values()), "query")
        self._queries_cut += int(encoded.cut.sum())
        scores, places = self._index.search(self._scaled(encoded.vectors), depth)
        return {
            query_id: [
                (self._ids[place], value) for place, value in zip(row, values, strict=True) if place >= 0
            ]
            for query_id, values, row in zip(queries, scores.tolist(), places.tolist(), strict=True)
        }

    def notes(self) -> dict[str, object]:
        recall = self._index.recall_against_exact()
        if not self._index.exact and recall is not None:
            say(f"  HNSW finds {recall:.3f} of what an exact search finds")
        return {
            "model": self._settings.model,
            "model_digest": self._encoder.digest,
            "dimension": self._encoder.dimension,
            "max_tokens": self._encoder.max_tokens,
            "passages_cut": self._passages_cut,
            "queries_cut": self._queries_cut,
            "passages_encoded_now": self._passages_encoded,
            "index": "exact" if self._index.exact else "hnsw",
            "recall_against_exact": recall,
        }

    def _scaled(self, vectors: Table) -> Table:
        return unit(vectors) if self._settings.similarity == "cosine" else vectors
