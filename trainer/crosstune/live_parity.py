"""What `crosstune parity` does: a live server against the helper on the run's own dev queries."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from crosstune.endpoints.load import Load
from crosstune.errors import CheckFailed, InputError, MissingExtra
from crosstune.evaluate import compare, mean, per_query
from crosstune.export import Sample
from crosstune.export.gate import RESAMPLES, SEED, largest_difference, tau, top_overlap
from crosstune.export_inputs import format_sample
from crosstune.progress import say
from crosstune.records import Run, ranking
from crosstune.rerankers.rerank import Job
from crosstune.rerankers.settings import EndpointSettings
from crosstune.run import RunFolder
from crosstune.serve import Reranker
from crosstune.serve.limits import NDCG
from crosstune.serve.manifest import read_manifest
from crosstune.trec import read_run

SAME_SCALE = 1e-3
Scale = Literal["score", "probability", "logit", "other"]


@dataclass(frozen=True)
class LiveParity:
    """A server's answers against the helper's. `scale`: which of the helper's numbers the server's are; the
    two orders are by it, or by the logit where it is another. `largest_difference`: of two such numbers,
    `None` where the scale is another. `kendall_tau`, `top10_overlap`: mean over the queries; `least_tau` and
    `least_query`: the worst of them; `ndcg`, `helper_ndcg`: nDCG@10 of both, `ndcg_low`, `ndcg_high`: the
    95 % bootstrap interval of their difference over the queries; `windowed`: pairs that the helper reads in
    several windows."""

    endpoint: str
    queries: int
    pairs: int
    largest_difference: float | None
    kendall_tau: float
    least_tau: float
    least_query: str
    top10_overlap: float
    ndcg: float
    helper_ndcg: float
    ndcg_low: float
    ndcg_high: float
    scale: Scale
    windowed: int

    def __str__(self) -> str:
        return (
            f"{self.endpoint}: Kendall tau {self.kendall_tau:.4f} (least {self.least_tau:.4f}, query "
            f"{self.least_query!r}), top-10 overlap {self.top10_overlap:.3f}, {NDCG} {self.ndcg:.4f} against "
            f"the helper's {self.helper_ndcg:.4f} (95 % interval of the difference [{self.ndcg_low:+.4f}, "
            f"{self.ndcg_high:+.4f}]); its numbers are "
            + (
                "of a scale of their own"
                if self.largest_difference is None
                else f"of the helper's {self.scale}, largest difference {self.largest_difference:.1e}"
            )
            + f" ({self.queries} queries, {self.pairs} pairs"
            + (f", {self.windowed} of them in windows)" if self.windowed else ")")
        )


def live_parity(
    export: Path,
    run: Path | None,
    endpoint: EndpointSettings,
    load: Load,
    queries: int,
    seed: int,
    least_tau: float,
) -> LiveParity:
    """Asks the endpoint for that many dev queries of `run`, drawn by `seed`, all their candidates; without a
    run, of the run folder that the export lies in.

    Raises `InputError` for a folder that is no export, a run without candidates of dev, and
    `CheckFailed` for answers that cannot be counted or a mean Kendall tau below `least_tau`.
    """
    helper = Reranker(export)
    sample = _sample(RunFolder(run or export.resolve().parent), queries, seed)
    pairs = sum(map(len, sample.candidates.values()))
    say(f"{endpoint.label}: {len(sample.candidates)} dev queries, {pairs} pairs")
    found = _ask(endpoint, load, sample)
    scale, exact, windowed = _helper(helper, sample, found)
    by_query = {query_id: tau(found[query_id], exact[query_id]) for query_id in exact}
    worst = min(by_query, key=lambda query_id: by_query[query_id])
    ndcg, helper_ndcg = (per_query(sample.qrels, run, [NDCG])[NDCG] for run in (found, exact))
    difference = compare(helper_ndcg, ndcg, SEED, RESAMPLES)
    parity = LiveParity(
        endpoint=endpoint.label,
        queries=len(exact),
        pairs=pairs,
        largest_difference=None if scale == "other" else largest_difference(found, exact),
        kendall_tau=statistics.fmean(by_query.values()),
        least_tau=by_query[worst],
        least_query=worst,
        top10_overlap=statistics.fmean(top_overlap(found[q], exact[q]) for q in exact),
        ndcg=mean(ndcg),
        helper_ndcg=mean(helper_ndcg),
        ndcg_low=difference.low,
        ndcg_high=difference.high,
        scale=scale,
        windowed=windowed,
    )
    if parity.kendall_tau < least_tau:
        ours, theirs = (", ".join(ranking(run[worst])[:3]) for run in (exact, found))
        longest = read_manifest(export).rule.max_tokens
        raise CheckFailed(
            f"{parity}; --min-tau {least_tau:g} was expected. Best of query {worst!r}: {ours} by the helper, "
            f"{theirs} by the server. Look at its model folder and precision, its most tokens a pair (the "
            f"export has {longest}) and whether it passes token_type_ids on"
            + ("; the export reads long documents in windows, and most servers cut them" if windowed else "")
        )
    return parity


def _sample(folder: RunFolder, queries: int, seed: int) -> Sample:
    from crosstune.data import read_collection

    if not folder.candidates("dev").is_file():
        raise InputError(
            f"{folder.root}: no candidates of dev there; --run takes a run folder (crosstune run, retrieve "
            "or export makes one)"
        )
    collection = read_collection(folder.collection_folder())
    sample = format_sample(collection, read_run(folder.candidates("dev")), (), queries, seed)
    if not sample.candidates:
        raise InputError(f"{folder.candidates('dev')}: no judged dev query has candidates there")
    return sample


def _ask(endpoint: EndpointSettings, load: Load, sample: Sample) -> Run:
    try:
        from crosstune.rerankers.ask import rerank_by_endpoint
    except ModuleNotFoundError as error:
        raise MissingExtra(f"crosstune parity (module {error.name})", "endpoints") from None
    jobs = [
        Job(query_id, sample.queries[query_id], tuple(scores), _texts(sample, tuple(scores)))
        for query_id, scores in sample.candidates.items()
    ]
    with TemporaryDirectory(prefix="crosstune-") as scratch:  # no answer of an earlier call counts
        return rerank_by_endpoint(endpoint, jobs, load, Path(scratch) / "answers.sqlite").scores


def _texts(sample: Sample, doc_ids: Sequence[str]) -> Callable[[], Sequence[str]]:
    return lambda: [sample.passages[doc_id] for doc_id in doc_ids]


def _helper(helper: Reranker, sample: Sample, found: Run) -> tuple[Scale, Run, int]:
    """The scale, the helper's numbers of it (equal probabilities tie on both sides), and how many pairs it
    read in windows. The scale is the nearest over all queries (of irrelevant documents alone, scores and
    probabilities are all about 0), where it is that of half of the answers."""
    answers = {
        query_id: helper.score([(sample.queries[query_id], sample.passages[doc_id]) for doc_id in scores])
        for query_id, scores in sample.candidates.items()
    }
    windowed = sum(score.window is not None for scores in answers.values() for score in scores)
    kinds: tuple[Scale, ...] = ("score", "probability", "logit")
    runs: dict[Scale, Run] = {}
    for kind in kinds:
        numbers = {query_id: [getattr(answer, kind) for answer in answers[query_id]] for query_id in answers}
        if all(None not in values for values in numbers.values()):
            runs[kind] = {q: dict(zip(sample.candidates[q], numbers[q], strict=True)) for q in numbers}
    differences = {kind: _differences(found, run) for kind, run in runs.items()}
    nearest = min(runs, key=lambda kind: statistics.fmean(differences[kind]))
    if statistics.median(differences[nearest]) <= SAME_SCALE:
        return nearest, runs[nearest], windowed
    return "other", runs["logit"], windowed


def _differences(found: Run, ours: Run) -> list[float]:
    return [abs(found[q][doc] - ours[q][doc]) for q in ours for doc in ours[q]]
