"""What a report tells of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstune.records import MinedSample, Qrels, Run

FIRST_STAGE = "first_stage"


@dataclass(frozen=True)
class Evaluation:
    """`metrics`: as in `metrics.json`; `values` (system -> query id -> headline measure) and `runs` hold at
    least the first stage and the system that the export recommends; `queries` and `passages`: id -> text;
    `training_log`: the entries of `train_log.jsonl`; `mined`: some train queries of the ledger, `None` where
    nothing was mined; `manifest`: of this evaluation's export, `None` where there is none."""

    metrics: Mapping[str, Any]
    split: str
    qrels: Qrels
    values: Mapping[str, Mapping[str, float]]
    runs: Mapping[str, Run]
    queries: Mapping[str, str]
    passages: Mapping[str, str]
    training_log: Sequence[Mapping[str, float]]
    mined: MinedSample | None = None
    manifest: Mapping[str, Any] | None = None

    @property
    def headline(self) -> str:
        return str(self.metrics["headline"])

    @property
    def best(self) -> str:
        """The system that the export recommends."""
        return str(self.metrics["recommended"])

    @property
    def leaked(self) -> list[str]:
        """Test queries whose text is, or nearly is, that of a train query."""
        leakage = self.metrics["leakage"]
        return [*leakage["equal_queries"], *leakage["near_queries"]]

    @property
    def missed(self) -> set[str]:
        """Queries with a relevant document, none of which is a candidate: no reranker can help them."""
        candidates = self.runs[FIRST_STAGE]
        relevant = {q: {d for d, grade in judged.items() if grade > 0} for q, judged in self.qrels.items()}
        return {q for q, found in relevant.items() if found and not found & candidates.get(q, {}).keys()}
