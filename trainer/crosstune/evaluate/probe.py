"""What training did to the ranking of another domain: a probe before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosstune.evaluate.differences import differences, means
from crosstune.evaluate.measures import ceiling, check_runs, per_query
from crosstune.evaluate.settings import EvaluationSettings
from crosstune.records import Qrels, Run

PAIRS = (("tuned", "base"), ("fused", "base"), ("tuned", "first_stage"), ("fused", "first_stage"))


@dataclass(frozen=True)
class ProbeRuns:
    """The systems of an evaluation on the `split` of the collection `name`."""

    name: str
    split: str
    qrels: Qrels
    runs: Mapping[str, Run]


def probe_metrics(probe: ProbeRuns, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """What `metrics.json` holds under `probe`. Raises `InputError` when the runs do not fit the qrels."""
    check_runs(probe.qrels, probe.runs)
    runs = {**probe.runs, "ceiling": ceiling(probe.qrels, probe.runs["first_stage"])}
    values = {system: per_query(probe.qrels, run, settings.measures) for system, run in runs.items()}
    return {
        "collection": probe.name,
        "split": probe.split,
        "queries": len(probe.qrels),
        "systems": {system: means(measured) for system, measured in values.items()},
        "comparison": differences(values, PAIRS, settings, seed),
    }
