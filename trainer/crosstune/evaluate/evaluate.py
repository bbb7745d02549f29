"""The evaluation of one split: measures, depths, significance, leakage, and the files that hold them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crosstune.evaluate.differences import Values, differences, means
from crosstune.evaluate.leakage import LeakageReport
from crosstune.evaluate.measures import at_depth, ceiling, check_runs, mean, per_query
from crosstune.evaluate.probe import ProbeRuns, probe_metrics
from crosstune.evaluate.report import Evaluation, render_report
from crosstune.evaluate.settings import EvaluationSettings
from crosstune.files import staged_file, write_json, write_text
from crosstune.progress import progress
from crosstune.records import MinedSample, Qrels, Run

SYSTEMS = ("first_stage", "base", "tuned", "fused", "ceiling")
PAIRS = (
    ("tuned", "first_stage"),
    ("tuned", "base"),
    ("fused", "first_stage"),
    ("fused", "base"),
    ("fused", "tuned"),
)


def evaluate(
    qrels: Qrels,
    runs: Mapping[str, Run],
    *,
    settings: EvaluationSettings,
    seed: int,
    split: str,
    folder: Path,
    milliseconds: Mapping[str, float],
    leaks: LeakageReport,
    context: Mapping[str, Any],
    training_log: Sequence[Mapping[str, float]],
    queries: Mapping[str, str],
    passages: Mapping[str, str],
    probe: ProbeRuns | None = None,
    mined: MinedSample | None = None,
) -> dict[str, Any]:
    """Writes `metrics.json`, `per_query.csv` and `report.html` into `folder`; returns the metrics.

    `runs` holds `first_stage`, `base`, `tuned` and, where a fusion was kept, `fused`, all over the same
    candidates; the mean is over every query of the qrels. `recommended` in the metrics is what the export
    recommends: the fusion where there is one. `queries` and `passages` hold the texts by id; `probe`: the
    same systems on another domain; `mined`: train queries for the page. Raises `InputError` when the runs do
    not fit the qrels or each other.
    """
    check_runs(qrels, runs)
    found = {**runs, "ceiling": ceiling(qrels, runs["first_stage"])}
    systems = {name: found[name] for name in SYSTEMS if name in found}
    values = {name: per_query(qrels, run, settings.measures) for name, run in systems.items()}
    metrics = {
        "schema": 1,
        "splits": {split: {name: means(values[name]) for name in systems}},
        "headline": settings.measures[0],
        "recommended": "fused" if "fused" in runs else "tuned",
        "queries": len(qrels),
        "queries_without_positive": sum(max(j.values(), default=0) <= 0 for j in qrels.values()),
        "milliseconds_per_query": dict(milliseconds),
        "comparison": differences(values, PAIRS, settings, seed),
        "depths": _curve(qrels, systems, settings),
        "leakage": _leakage(values, leaks, settings.measures[0]),
        "probe": probe_metrics(probe, settings, seed) if probe is not None else None,
        "context": dict(context),
    }
    write_json(folder / "metrics.json", metrics)
    _write_csv(folder / "per_query.csv", qrels, values, split)
    headline = {name: values[name][settings.measures[0]] for name in values}
    told = Evaluation(metrics, split, qrels, headline, systems, queries, passages, training_log, mined)
    write_text(folder / "report.html", render_report(told))
    return metrics


def _curve(
    qrels: Qrels, systems: Mapping[str, Run], settings: EvaluationSettings
) -> dict[str, dict[str, float]]:
    """System -> depth -> headline measure when only the first `depth` candidates are reranked."""
    headline = settings.measures[0]
    curve: dict[str, dict[str, float]] = {}
    with progress("depths", len(systems) * len(settings.depths)) as advance:
        for name in systems:
            curve[name] = {}
            for depth in settings.depths:
                run = at_depth(systems["first_stage"], systems[name], depth)
                curve[name][str(depth)] = mean(per_query(qrels, run, [headline])[headline])
                advance(1)
    return curve


def _leakage(values: Values, leaks: LeakageReport, headline: str) -> dict[str, Any]:
    """The findings by id, and the headline over all queries and without the leaked ones."""
    clean = {name: values[name][headline].items() for name in values}
    return {
        **asdict(leaks),
        "headline_without_leaks": {
            name: mean([value for query_id, value in items if query_id not in leaks.query_ids])
            for name, items in clean.items()
        },
    }


def _write_csv(path: Path, qrels: Qrels, values: Values, split: str) -> None:
    columns = [(name, measure) for name in values for measure in values[name]]
    with staged_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["query_id", "split", "positives", *(f"{name} {m}" for name, m in columns)])
        for query_id, judged in qrels.items():
            positives = sum(grade > 0 for grade in judged.values())
            row = [f"{values[name][measure][query_id]:.6f}" for name, measure in columns]
            writer.writerow([query_id, split, positives, *row])
