"""The evaluation of a published procedure: its own measures, a first stage, and the published figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import Field

from crosstune.evaluate.measures import PerQuery, ceiling, in_order, mean, per_query
from crosstune.evaluate.reciprocal_rank import reciprocal_ranks
from crosstune.evaluate.significance import compare, holm, verdict
from crosstune.records import Qrels, Run
from crosstune.settings import Settings

Measure = Callable[[Qrels, Run], PerQuery]
NAMES = {"first_stage": "first stage", "tuned": "tuned", "ceiling": "ceiling"}


class PublishedFigure(Settings):
    """What a reproduction is held to."""

    figure: float | None = Field(None, ge=0, le=1, description="published value of the headline measure")
    tolerance: float = Field(0.01, ge=0, le=1, description="difference to it that counts as reproduced")
    resamples: int = Field(10_000, ge=100, description="of the randomisation test and the bootstrap")


def ms_marco_values(qrels: Qrels, run: Run) -> PerQuery:
    """MRR@10 as the official script computes it. The scores of `run` are ranks from 1 turned
    around: -1, -2."""
    relevant = {query_id: documents.keys() for query_id, documents in qrels.items()}
    ranks = {q: {doc: int(-score) for doc, score in scores.items()} for q, scores in run.items()}
    return {"MRR@10": reciprocal_ranks(relevant, ranks)}


def trec_car_values(qrels: Qrels, run: Run) -> PerQuery:
    """trec_eval's `map` and `recip_rank` over every query of the qrels (`-c`)."""
    return per_query(qrels, run, ("AP", "RR"))


def measure_systems(qrels: Qrels, tuned: Run, first_stage: Run, measure: Measure) -> dict[str, PerQuery]:
    """System -> its values: tuned, the ceiling of the same candidates and, where it is known, first_stage."""
    best = {
        query_id: {doc: float(-rank) for rank, doc in enumerate(in_order(grades), start=1)}
        for query_id, grades in ceiling(qrels, tuned).items()
    }
    runs = {"tuned": tuned, "ceiling": best, **({"first_stage": first_stage} if first_stage else {})}
    return {system: measure(qrels, run) for system, run in runs.items()}


def reproduction_metrics(
    parts: Mapping[str, Mapping[str, PerQuery]], settings: PublishedFigure, seed: int
) -> dict[str, Any]:
    """What `metrics.json` holds. `parts`: split -> what `measure_systems` found; the published figure is of
    the last split, and the first measure is the headline."""
    *_, systems = parts.values()
    headline = next(iter(systems["tuned"]))
    means = {
        split: {
            name: {m: mean(values) for m, values in found[name].items()} for name in NAMES if name in found
        }
        for split, found in parts.items()
    }
    *_, published = means.values()
    return {
        "schema": 1,
        "splits": means,
        "headline": headline,
        "queries": {split: len(found["tuned"][headline]) for split, found in parts.items()},
        "comparison": _comparison(systems, settings.resamples, seed),
        "published": _published(published["tuned"][headline], settings),
    }


def _comparison(systems: Mapping[str, PerQuery], resamples: int, seed: int) -> dict[str, Any]:
    if "first_stage" not in systems:
        return {}
    first, tuned = systems["first_stage"], systems["tuned"]
    found = {measure: compare(first[measure], tuned[measure], seed, resamples) for measure in tuned}
    corrected = holm({measure: comparison.p for measure, comparison in found.items()})
    return {
        "tuned against first_stage": {
            m: {**asdict(c), "p_holm": corrected[m], "verdict": verdict(c, corrected[m])}
            for m, c in found.items()
        }
    }


def _published(value: float, settings: PublishedFigure) -> dict[str, Any] | None:
    if settings.figure is None:
        return None
    return {
        "figure": settings.figure,
        "tolerance": settings.tolerance,
        "reproduced": abs(value - settings.figure) <= settings.tolerance,
    }


def render_reproduction(metrics: Mapping[str, Any]) -> str:
    """The systems of each split, one a line, the gain with its interval, and the published figure."""
    headline = metrics["headline"]
    lines = []
    for split, systems in metrics["splits"].items():
        measures = list(systems["tuned"])
        title = f"{split}, {metrics['queries'][split]} queries"
        lines.append("".join([f"{title:<24}", *(f"{m:>9}" for m in measures)]))
        for name, label in NAMES.items():
            if name in systems:
                lines.append("".join([f"{label:<24}", *(f"{systems[name][m]:9.4f}" for m in measures)]))
    if metrics["comparison"]:
        gain = metrics["comparison"]["tuned against first_stage"][headline]
        lines += [
            "",
            f"gain over the first stage: {gain['difference']:+.4f} {headline}, 95 % interval "
            f"[{gain['low']:+.4f}, {gain['high']:+.4f}], p = {gain['p_holm']:.2g}: {gain['verdict']}",
        ]
    if published := metrics["published"]:
        word = "reproduced" if published["reproduced"] else "NOT reproduced, see docs/reproduce.md"
        lines.append(
            f"published {headline}: {published['figure']:.4f} (tolerance "
            f"{published['tolerance']:.4f}): {word}"
        )
    return "\n".join(lines)
