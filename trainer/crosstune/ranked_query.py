"""What a search box over the collection of a run would show: its first stage, then its exported model."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass

from crosstune.stages import Pipeline

SHOWN = 5


@dataclass(frozen=True)
class Row:
    """`was`: the place that the first stage gave it, from 1."""

    doc_id: str
    score: float
    was: int
    text: str


@dataclass(frozen=True)
class RankedQuery:
    query: str
    candidates: int
    milliseconds: float
    rows: list[Row]


def rank_query(pipeline: Pipeline, query: str) -> RankedQuery:
    """The first candidates as the export ranks them. Raises what the first stage and the export raise."""
    from crosstune.data import search
    from crosstune.serve import Reranker

    collection = pipeline.collection()
    candidates = search(collection, pipeline.recipe.first_stage, query)
    ids = list(candidates)
    started = time.monotonic()
    ranked = Reranker(pipeline.folder.export).rank(
        query,
        [collection.passages[i] for i in ids],
        top_k=SHOWN,
        first_stage_scores=[*candidates.values()],
    )
    took = 1000 * (time.monotonic() - started)
    rows = [Row(ids[row.index], row.shown, row.index + 1, str(row.document)) for row in ranked]
    return RankedQuery(query, len(ids), took, rows)


def render_query(found: RankedQuery) -> str:
    """A line a passage, as wide as the terminal."""
    width = max(60, shutil.get_terminal_size().columns - 50)
    lines = [
        f"\n{found.query!r}: {found.candidates} candidates ranked by the exported model in "
        f"{found.milliseconds:.0f} ms"
    ]
    for place, row in enumerate(found.rows, start=1):
        text = " ".join(row.text.split())[:width]
        lines.append(f"{place:3d}. {row.score:.3f}  (was {row.was:3d})  {row.doc_id}  {text}")
    return "\n".join(lines) if found.rows else f"{lines[0]}\n  the first stage found nothing for it"
