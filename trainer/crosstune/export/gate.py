"""The ranking of a further format against fp32, on whole candidate lists of judged queries."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from crosstune.evaluate import compare, mean, per_query
from crosstune.export.parity import kendall_tau, logit_spread
from crosstune.export.settings import ExportSettings
from crosstune.records import Qrels, Run, ranking
from crosstune.serve import Reranker
from crosstune.serve.engines import Format
from crosstune.serve.limits import NDCG

DEPTH = 10
SEED, RESAMPLES = 13, 2000
PASSES = 2
"""Answers that are wrong only now and then were met when batches ran side by side."""


@dataclass(frozen=True)
class Sample:
    """Real data for the further formats. `candidates` and `qrels`: of dev queries; `calibration`: pairs of
    the train split, for the ranges of static int8."""

    queries: Mapping[str, str] = field(default_factory=dict)
    passages: Mapping[str, str] = field(default_factory=dict)
    candidates: Run = field(default_factory=dict)
    qrels: Qrels = field(default_factory=dict)
    calibration: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class RankParity:
    """Against fp32 ONNX. `largest_difference`: of a logit; `spread`: the standard deviation of fp32's logits;
    `kendall_tau`, `top10_overlap`: mean over queries of the two orders; `ndcg`, `fp32_ndcg`: nDCG@10 of both,
    `ndcg_low`, `ndcg_high`: the 95 % bootstrap interval of their difference over the queries; `steady`:
    whether the passes agreed."""

    queries: int
    pairs: int
    largest_difference: float
    spread: float
    kendall_tau: float
    top10_overlap: float
    ndcg: float
    fp32_ndcg: float
    ndcg_low: float
    ndcg_high: float
    steady: bool

    def failures(self, name: Format, settings: ExportSettings) -> list[str]:
        """What is beyond the limits, with the values; empty when the format holds."""
        return settings.limits.failures(name, asdict(self))

    def __str__(self) -> str:
        return (
            f"largest logit difference {self.largest_difference:.1e}, Kendall tau {self.kendall_tau:.4f}, "
            f"top-{DEPTH} overlap {self.top10_overlap:.3f}, {NDCG} {self.ndcg:.4f} against "
            f"{self.fp32_ndcg:.4f} (95 % interval of the difference [{self.ndcg_low:+.4f}, "
            f"{self.ndcg_high:+.4f}]; {self.queries} queries, {self.pairs} pairs)"
        )


def score_sample(reranker: Reranker, sample: Sample) -> Run:
    """Logits of every candidate, a query at a time: the batches and threads of serving."""
    run: Run = {}
    for query_id, documents in sample.candidates.items():
        pairs = [(sample.queries[query_id], sample.passages[doc_id]) for doc_id in documents]
        run[query_id] = dict(zip(documents, (s.logit for s in reranker.score(pairs)), strict=True))
    return run


def compare_ranking(reranker: Reranker, exact: Run, sample: Sample) -> RankParity:
    """Scores the sample `PASSES` times with `reranker` and compares with `exact`, the logits of fp32."""
    passes = [score_sample(reranker, sample) for _ in range(PASSES)]
    differences = [largest_difference(run, exact) for run in passes]
    run = passes[max(range(PASSES), key=lambda place: differences[place])]
    ndcg, fp32 = (per_query(sample.qrels, scores, [NDCG])[NDCG] for scores in (run, exact))
    difference = compare(fp32, ndcg, SEED, RESAMPLES)
    return RankParity(
        queries=len(exact),
        pairs=sum(map(len, exact.values())),
        largest_difference=max(differences),
        spread=logit_spread(logit for scores in exact.values() for logit in scores.values()),
        kendall_tau=statistics.fmean(tau(run[q], exact[q]) for q in exact),
        top10_overlap=statistics.fmean(top_overlap(run[q], exact[q]) for q in exact),
        ndcg=mean(ndcg),
        fp32_ndcg=mean(fp32),
        ndcg_low=difference.low,
        ndcg_high=difference.high,
        steady=largest_difference(passes[0], passes[1]) <= 1e-3,
    )


def largest_difference(run: Run, exact: Run) -> float:
    """Of a score of `exact`. NaN counts as beyond everything."""
    worst = [abs(run[q][doc] - logit) for q, scores in exact.items() for doc, logit in scores.items()]
    return max((d if d == d else float("inf") for d in worst), default=0.0)  # noqa: PLR0124


def tau(scores: Mapping[str, float], exact: Mapping[str, float]) -> float:
    return kendall_tau([scores[doc] for doc in exact], list(exact.values()))


def top_overlap(scores: Mapping[str, float], exact: Mapping[str, float]) -> float:
    best = set(ranking(exact)[:DEPTH])
    return len(best & set(ranking(scores)[:DEPTH])) / max(1, len(best))
