"""What the stage tells about itself: `retrieve.json`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from crosstune.records import Qrels, Run, ranking

RECALL_DEPTHS = (10, 20, 50, 100)


@dataclass(frozen=True)
class RetrievalSummary:
    """What `retrieve.json` holds. `recall`: split -> depth -> R@depth over the queries with a positive;
    `candidates_left_out`: split -> reason -> count; `notes`: what the kind itself tells; `further`: the same
    of the first stages that mining alone draws from, by name."""

    kind: str
    depth: int
    recall: dict[str, dict[str, float]]
    queries: dict[str, int]
    queries_without_result: dict[str, int]
    queries_with_fewer_than_asked: dict[str, int]
    candidates_left_out: dict[str, dict[str, int]]
    milliseconds_per_query: float
    notes: dict[str, object]
    further: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Tally:
    """What is counted of the candidates of one split, part by part. `shares`: depth -> sum over the queries
    with a positive of the share of positives among the best so many."""

    queries: int = 0
    empty: int = 0
    fewer: int = 0
    judged: int = 0
    shares: dict[int, float] = field(default_factory=dict)

    def add(self, qrels: Qrels, run: Run, asked: int, depths: Iterable[int]) -> None:
        """`asked`: candidates a query that were asked for."""
        for query_id, scores in run.items():
            self.queries += 1
            self.empty += not scores
            self.fewer += len(scores) < asked
            positives = {doc_id for doc_id, grade in qrels[query_id].items() if grade > 0}
            self.judged += bool(positives)
            order = ranking(scores) if positives else []
            for depth in depths if positives else ():
                found = len(positives & set(order[:depth])) / len(positives)
                self.shares[depth] = self.shares.get(depth, 0.0) + found

    def recall(self, depth: int) -> float:
        """R@depth over the queries with a positive, 0 when there is none."""
        return self.shares.get(depth, 0.0) / self.judged if self.judged else 0.0


def recall(qrels: Qrels, run: Run, depth: int) -> float:
    """Mean over the queries with a positive of the share of positives among the best `depth`."""
    tally = Tally()
    tally.add(qrels, run, depth, [depth])
    return tally.recall(depth)
