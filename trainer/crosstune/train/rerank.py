"""Reranking candidates that come as a stream, in any order and with their texts."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.files import staged_file
from crosstune.progress import progress
from crosstune.records import Candidate
from crosstune.serve.pairs import PairEncoder
from crosstune.train.scoring import score_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

AT_ONCE = 4096


@dataclass(frozen=True)
class Scored:
    """A query's candidates in the order they came, with log p(relevant), fp32."""

    doc_ids: list[str] = field(default_factory=list)
    scores: array[float] = field(default_factory=lambda: array("f"))

    def ranks(self) -> dict[str, int]:
        """Document id -> rank from 1; equal scores keep the order they came in."""
        order = sorted(range(len(self.doc_ids)), key=lambda place: -self.scores[place])
        return {self.doc_ids[place]: rank for rank, place in enumerate(order, start=1)}


@dataclass(frozen=True)
class RerankedStream:
    """`queries`: query id -> its scored candidates; `milliseconds`: a query, on average."""

    queries: dict[str, Scored]
    milliseconds: float


def rerank_stream(
    model: PreTrainedModel, encoder: PairEncoder, candidates: Iterator[Candidate], total: int
) -> RerankedStream:
    """Scores every candidate by log p(relevant); only ids and scores are held in memory.

    `model` has one label, whose logit is the log-odds; `candidates` name a document once a query, as the
    streams of `crosstune.data` make sure; `total` is their number, for the progress.
    """
    queries: dict[str, Scored] = {}
    started = time.perf_counter()
    with progress("rerank, candidates", total) as advance:
        while rows := list(islice(candidates, AT_ONCE)):
            logits = score_pairs(model, encoder, [(row.query, row.passage) for row in rows])
            for row, logit in zip(rows, logits, strict=True):
                scored = queries.setdefault(row.query_id, Scored())
                scored.doc_ids.append(row.doc_id)
                scored.scores.append(log_sigmoid(logit))
            advance(len(rows))
    seconds = time.perf_counter() - started
    return RerankedStream(queries, 1000 * seconds / len(queries) if queries else 0.0)


def log_sigmoid(logit: float) -> float:
    """log p of the second of two classes whose logits differ by `logit`; no rounding to 0 for sure ones."""
    return min(logit, 0.0) - math.log1p(math.exp(-abs(logit)))


def write_msmarco_run(path: Path, queries: dict[str, Scored]) -> None:
    """Writes `qid pid rank`, best first."""
    with staged_file(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        for query_id, scored in queries.items():
            for doc_id, rank in scored.ranks().items():
                handle.write(f"{query_id}\t{doc_id}\t{rank}\n")
