"""A run against judgements: measures with intervals, the ceiling, and both by depth and by kind of query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crosstune.evaluate.breakdown import Part
from crosstune.evaluate.measures import (
    PerQuery,
    at_depth,
    ceiling,
    check_runs,
    is_sum,
    mean,
    parse,
    per_query,
    total,
)
from crosstune.evaluate.significance import interval
from crosstune.progress import progress
from crosstune.records import Qrels, Run

DEPTHS = (10, 20, 50, 100, 1000)
MEASURES = ("nDCG@10", "RR@10", "AP@100", "R@100", "Judged@10")
FIRST_STAGE, CEILING = "first_stage", "ceiling"


@dataclass(frozen=True)
class Question:
    """What is asked about the runs; `parts`: name of a breakdown -> its groups of queries; `relevant`: the
    grade from which a candidate counts in the recall of a depth."""

    measures: Sequence[str] = MEASURES
    depths: Sequence[int] = DEPTHS
    parts: Mapping[str, Sequence[Part]] = field(default_factory=dict)
    seed: int = 13
    resamples: int = 10_000
    relevant: int = 1


@dataclass(frozen=True)
class Assessment:
    """`metrics` as in `metrics.json`; `values`: system -> measure -> query id -> value."""

    metrics: dict[str, Any]
    values: dict[str, PerQuery]


def assess(qrels: Qrels, systems: Mapping[str, Run], split: str, question: Question) -> Assessment:
    """Measures every system over every query of the qrels, and the ceiling of the candidates beside them.

    The candidates are those of `first_stage` where it is among the systems (the others then rerank exactly
    these), otherwise those of the first system. Raises `InputError` when the systems do not fit each other.
    """
    candidates = systems.get(FIRST_STAGE) or next(iter(systems.values()))
    if FIRST_STAGE in systems:
        judged = {name: _judged(run, qrels) for name, run in systems.items()}
        check_runs(qrels, judged)
    runs = {**systems, CEILING: ceiling(qrels, candidates)}
    values = {name: per_query(qrels, run, question.measures) for name, run in runs.items()}
    headline = question.measures[0]
    metrics = {
        "schema": 1,
        "splits": {split: {name: {m: total(m, v[m]) for m in v} for name, v in values.items()}},
        "headline": headline,
        "queries": len(qrels),
        "queries_without_positive": sum(max(j.values(), default=0) <= 0 for j in qrels.values()),
        "queries_without_results": {n: sum(not run.get(q) for q in qrels) for n, run in systems.items()},
        "intervals": _intervals(values, question),
        "depths": _depths(qrels, candidates, runs, question),
        "by": {
            name: [_part(part, values, headline, question) for part in parts]
            for name, parts in question.parts.items()
        },
    }
    return Assessment(metrics, values)


def notes(qrels: Qrels, systems: Mapping[str, Run], measures: Sequence[str]) -> list[str]:
    """What the figures do not tell by themselves: grades read as yes or no, documents that nobody judged."""
    found = []
    grades = sorted({grade for judged in qrels.values() for grade in judged.values()})
    binary = [m for m in measures if takes_threshold(m) and parse(m).params.get("rel", 1) == 1]
    if grades and grades[-1] > 1 and binary:
        found.append(
            f"the grades are {grades[0]} to {grades[-1]}, and {', '.join(binary)} know only yes and no: "
            "every grade from 1 counts as relevant (give --relevant-from 2 for another threshold)"
        )
    negative = sum(grade < 0 for judged in qrels.values() for grade in judged.values())
    if negative:
        found.append(f"{negative} judgements have a negative grade; they count as not relevant")
    for name, run in systems.items():
        missing = [query_id for query_id in qrels if not run.get(query_id)]
        if missing:
            found.append(
                f"{name}: {len(missing)} of {len(qrels)} judged queries have no result and count 0 "
                f"(query {missing[0]!r})"
            )
        unjudged = len(run.keys() - qrels.keys())
        if unjudged:
            found.append(f"{name}: {unjudged} of its queries are not in the qrels and are left out")
        if not any(qrels[q].keys() & run.get(q, {}).keys() for q in qrels):
            found.append(
                f"{name}: none of its documents is judged for its query; are the document ids the same?"
            )
    return found


def takes_threshold(measure: str) -> bool:
    """Whether a measure takes a grade from which a document is relevant (`rel`)."""
    threshold = parse(measure).SUPPORTED_PARAMS.get("rel")
    return threshold is not None and threshold.default == 1


def relevant_from(measure: str, grade: int) -> str:
    """The measure with that threshold, where it takes one and does not name its own."""
    parsed = parse(measure)
    if not takes_threshold(measure) or "rel" in parsed.params:
        return measure
    return str(parsed(rel=grade))


def _judged(run: Run, qrels: Qrels) -> Run:
    return {query_id: scores for query_id, scores in run.items() if query_id in qrels}


def _intervals(values: Mapping[str, PerQuery], question: Question) -> dict[str, dict[str, list[float]]]:
    return {
        name: {
            m: [
                bound * (len(by_query) if is_sum(m) else 1)
                for bound in interval(list(by_query.values()), question.seed, question.resamples)
            ]
            for m, by_query in measured.items()
        }
        for name, measured in values.items()
    }


def _depths(
    qrels: Qrels, candidates: Run, runs: Mapping[str, Run], question: Question
) -> dict[str, dict[str, float]]:
    """System -> depth -> headline when only the first `depth` candidates are reranked, and their recall."""
    headline = question.measures[0]
    deepest = max((len(scores) for scores in candidates.values()), default=0)
    depths = [d for d in sorted(question.depths) if d <= deepest]
    depths += [d for d in sorted(question.depths) if d > deepest][:1]
    recall = [relevant_from(f"R@{depth}", question.relevant) for depth in depths]
    found = per_query(qrels, candidates, recall)
    curve: dict[str, dict[str, float]] = {name: {} for name in runs}
    with progress("depths", len(runs) * len(depths)) as advance:
        for name, run in runs.items():
            for depth in depths:
                order = at_depth(candidates, _within(run, candidates), depth)
                curve[name][str(depth)] = total(headline, per_query(qrels, order, [headline])[headline])
                advance(1)
    return {**curve, "recall": {str(d): mean(found[m]) for d, m in zip(depths, recall, strict=True)}}


def _within(run: Run, candidates: Run) -> Run:
    """Queries that a system did not answer keep the candidates' order."""
    return {query_id: run.get(query_id) or scores for query_id, scores in candidates.items()}


def _part(part: Part, values: Mapping[str, PerQuery], headline: str, question: Question) -> dict[str, Any]:
    row: dict[str, Any] = {"label": part.label, "queries": len(part.query_ids)}
    for name, measured in values.items():
        numbers = [measured[headline][query_id] for query_id in part.query_ids]
        low, high = interval(numbers, question.seed, question.resamples)
        row[name] = {"mean": mean(numbers), "low": low, "high": high}
    return row
