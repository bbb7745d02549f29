"""What an evaluation's dev scores say beside their mean nDCG."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

from crosstune.evaluate import mean
from crosstune.evaluate.significance import compare
from crosstune.records import Qrels, Run

RESAMPLES = 1000

PerQuery = dict[str, float]


class DevSigns:
    """Compares each evaluation of a training with the best before it."""

    def __init__(self, qrels: Qrels, per_query: Callable[[Run], PerQuery], seed: int) -> None:
        """`per_query`: a run's nDCG@10 by query."""
        self._qrels = qrels
        self._per_query = per_query
        self._seed = seed
        self._best: PerQuery | None = None

    def after(self, run: Run) -> dict[str, float]:
        """Of these scores: `nDCG@10`, `spread` (the standard deviation of a query's logits), `pairs_right`
        (the share of a query's pairs of two grades in the right order; unjudged is not relevant, equal scores
        count half), both a mean over queries, with `pairs_queries`, how many have such pairs, and, from the
        second evaluation on, `drop` below the best with `drop_p` of the paired test."""
        now = self._per_query(run)
        value = mean(now)
        signs = {"nDCG@10": value}
        spreads = [statistics.pstdev(row.values()) for row in run.values() if len(row) > 1]
        if spreads:
            signs["spread"] = statistics.fmean(spreads)
        shares = [_right(row, self._qrels[query_id]) for query_id, row in run.items()]
        right = [statistics.fmean(share) for share in shares if share]
        if right:
            signs |= {"pairs_right": statistics.fmean(right), "pairs_queries": len(right)}
        if self._best is not None:
            found = compare(now, self._best, self._seed, RESAMPLES)
            signs |= {"drop": found.difference, "drop_p": found.p}
        if self._best is None or value > mean(self._best):
            self._best = now
        return signs


def _right(scores: Mapping[str, float], grades: Mapping[str, int]) -> list[float]:
    by_grade = [(grades.get(doc_id, 0), score) for doc_id, score in scores.items()]
    return [
        (score > other) + 0.5 * (score == other)
        for grade, score in by_grade
        if grade > 0
        for below, other in by_grade
        if below < grade
    ]
