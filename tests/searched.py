"""For the demo page's search: a collection with passages that mean harm, exports that know a first stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from calibrated import calibrated
from collections_of_words import write_collection
from crosstune.data import Bm25Settings, read_collection, search
from crosstune.serve import RankedDocument, Reranker

HOSTILE = {
    "_id": "<b>bold</b>",
    "title": "<img src=x onerror=\"document.title='hit'\">",
    "text": "zebra </div><script>document.title = 'hit'</script>",
}
LONG = {"_id": "long", "title": "", "text": "okapi " + "of many words\n" * 500}
K1 = 1.3
"""Of the first stage in the recipe of `fused_export`; the default is another."""


def write_searched(folder: Path) -> Path:
    """60 passages of words, of which each query knows one, and the two above."""
    write_collection(folder)
    with (folder / "corpus.jsonl").open("a", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in (HOSTILE, LONG))
    return folder


def fused_export(folder: Path, weight: float = 2.0, **first_stage: Any) -> Path:
    """The tiny export with a fusion, and a recipe whose first stage has these settings."""
    settings = Bm25Settings(k1=K1).model_dump() | first_stage
    return calibrated(folder, fusion={"weight": weight}, recipe={"first_stage": settings, "seed": 4})


def expected(
    collection: Path, export: Path, query: str, *, fused: bool
) -> tuple[list[str], list[float], list[RankedDocument]]:
    """BM25's ids and scores by the library, and the helper's ranking of them."""
    read = read_collection(collection)
    first = search(read, Bm25Settings(k1=K1), query)
    scores = [*first.values()]
    texts = [read.passages[doc_id] for doc_id in first]
    return [*first], scores, Reranker(export).rank(query, texts, first_stage_scores=scores if fused else None)
