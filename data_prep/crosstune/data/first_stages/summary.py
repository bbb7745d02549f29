"""What the stage tells about itself: `retrieve.json`."""

from __future__ import annotations

from dataclasses import dataclass

from crosstune.records import Qrels, Run, ranking

RECALL_DEPTHS = (10, 20, 50, 100)


@dataclass(frozen=True)
class RetrievalSummary:
    """What `retrieve.json` holds. `recall`: split -> depth -> R@depth over all judged queries;
    `candidates_left_out`: split -> reason -> count; `notes`: what the kind itself tells."""

    kind: str
    depth: int
    recall: dict[str, dict[str, float]]
    queries: dict[str, int]
    queries_without_result: dict[str, int]
    queries_with_fewer_than_asked: dict[str, int]
    candidates_left_out: dict[str, dict[str, int]]
    milliseconds_per_query: float
    notes: dict[str, object]


def recall(qrels: Qrels, run: Run, depth: int) -> float:
    """Mean over the queries with a positive of the share of positives among the best `depth`."""
    shares = []
    for query_id, judged in qrels.items():
        positives = {doc_id for doc_id, grade in judged.items() if grade > 0}
        if positives:
            shares.append(len(positives & set(ranking(run[query_id])[:depth])) / len(positives))
    return sum(shares) / len(shares) if shares else 0.0
