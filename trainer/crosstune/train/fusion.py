"""What dev says of first stage, base, tuned model and fusion, and whether the fusion is kept.

A fine-tuned cross-encoder may overlook exact matches that a lexical first stage sees, and their interpolation
often ranks better than either (Yilmaz et al. 2019, doi:10.18653/v1/D19-1352; Wang et al. 2021,
doi:10.1145/3471158.3472233). Whether it does on this collection is asked of the dev queries.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crosstune.evaluate import compare, mean, per_query
from crosstune.files import read_json
from crosstune.records import Qrels, Run
from crosstune.serve.fusion import Fusion, standardised

MEASURE = "nDCG@10"
STEPS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
"""The weights tried, in standard deviations of a query's logits: what a good weight is does not depend on
how sharp the loss made the logits."""
FOLDS, DRAWS = 10, 5
SIGNIFICANT = 0.1
"""Of the two-sided test: .05 that a fusion which does not help looks as if it did."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class FusionTrial:
    """What `fusion.json` holds. `weight`: the best on all dev queries; `kept`: whether it is used. `tuned`
    and `fused`: dev nDCG@10, of the fusion by cross-validation (`p`: that the two are equal); `grid`: weight
    -> nDCG@10 on all dev queries."""

    kept: bool
    weight: float
    queries: int
    tuned: float
    fused: float
    p: float
    grid: dict[str, float]

    @property
    def fusion(self) -> Fusion | None:
        return Fusion(self.weight) if self.kept else None


def read_fusion_trial(path: Path) -> FusionTrial:
    return FusionTrial(**read_json(path))


def try_fusion(qrels: Qrels, logits: Run, candidates: Run, seed: int) -> FusionTrial:
    """Chooses the weight of the first stage on dev, and keeps it only when it helps beyond chance, or when
    the tuned model without it is no better than the first stage.

    `logits`: those of the judged dev queries; `candidates`: all that the first stage returned for them, over
    which its scores are standardised as they will be at serving. The weight is chosen on nine tenths of the
    queries and measured on the other tenth, for each tenth and several draws of them; a query's value is its
    mean over the draws. The fusion is kept when these values are better than the tuned model's with p < .05
    (paired randomisation test, one-sided). A checkpoint that was chosen on the same queries flatters the
    tuned model alone. Where that model alone has no better mean than the first stage over the same documents,
    nothing is lost by the fusion, and a better mean of its own is enough.
    """
    judged = {query_id: qrels[query_id] for query_id in logits}
    weights = [step * _spread(logits) for step in STEPS]
    table = {
        weight: per_query(judged, fuse_run(Fusion(weight), logits, candidates), [MEASURE])[MEASURE]
        for weight in dict.fromkeys(weights)
    }
    queries = sorted(judged)
    fused, tuned = _cross_validated(table, queries, seed), table[0.0]
    outcome = compare(tuned, fused, seed, RESAMPLES)
    weight = _best(table, queries)
    first = {query_id: {d: candidates[query_id][d] for d in scores} for query_id, scores in logits.items()}
    is_below = mean(tuned) <= mean(per_query(judged, first, [MEASURE])[MEASURE])
    return FusionTrial(
        kept=weight > 0 and outcome.difference > 0 and (outcome.p < SIGNIFICANT or is_below),
        weight=weight,
        queries=len(queries),
        tuned=mean(tuned),
        fused=mean(fused),
        p=outcome.p,
        grid={f"{weight:.4g}": mean(values) for weight, values in table.items()},
    )


def fuse_run(fusion: Fusion, logits: Run, candidates: Run) -> Run:
    """The fused scores of the documents that have a logit; `candidates` may hold more of each query."""
    run: Run = {}
    for query_id, scores in logits.items():
        first = candidates.get(query_id, {})
        z = dict(zip(first, standardised([*first.values()]), strict=True))
        fused = fusion.add([*scores.values()], np.array([z[doc_id] for doc_id in scores]))
        run[query_id] = dict(zip(scores, fused, strict=True))
    return run


def _spread(logits: Run) -> float:
    """The standard deviation of the logits within a query, the median over the queries."""
    spreads = [float(np.std([*scores.values()])) for scores in logits.values() if len(scores) > 1]
    return statistics.median(spreads) if spreads else 0.0


def _best(table: Mapping[float, Mapping[str, float]], queries: Sequence[str]) -> float:
    """The weight with the best mean over the queries; of equal ones the smallest."""
    return min(table, key=lambda weight: (-mean([table[weight][q] for q in queries]), weight))


def _cross_validated(
    table: Mapping[float, Mapping[str, float]], queries: Sequence[str], seed: int
) -> dict[str, float]:
    """Query id -> its value under weights that were chosen without it."""
    rng = random.Random(seed)
    values: dict[str, list[float]] = {query_id: [] for query_id in queries}
    for _ in range(DRAWS):
        order = rng.sample(queries, len(queries))
        for fold in range(FOLDS):
            measured_on = {*order[fold::FOLDS]}
            weight = _best(table, [query_id for query_id in queries if query_id not in measured_on])
            for query_id in measured_on:
                values[query_id].append(table[weight][query_id])
    return {query_id: statistics.mean(found) for query_id, found in values.items()}
