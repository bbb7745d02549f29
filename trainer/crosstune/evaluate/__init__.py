"""Evaluation: measures, ceiling, significance, leakage, report."""

from crosstune.evaluate.evaluate import evaluate
from crosstune.evaluate.leakage import LeakageReport, find_leaks
from crosstune.evaluate.measures import PerQuery, at_depth, ceiling, mean, per_query
from crosstune.evaluate.probe import ProbeRuns
from crosstune.evaluate.reproduction import (
    PublishedFigure,
    measure_systems,
    ms_marco_values,
    render_reproduction,
    reproduction_metrics,
    trec_car_values,
)
from crosstune.evaluate.settings import EvaluationSettings
from crosstune.evaluate.significance import Comparison, compare, holm
from crosstune.evaluate.table import dev_line, render_table

__all__ = [
    "Comparison",
    "EvaluationSettings",
    "LeakageReport",
    "PerQuery",
    "ProbeRuns",
    "PublishedFigure",
    "at_depth",
    "ceiling",
    "compare",
    "dev_line",
    "evaluate",
    "find_leaks",
    "holm",
    "mean",
    "measure_systems",
    "ms_marco_values",
    "per_query",
    "render_reproduction",
    "render_table",
    "reproduction_metrics",
    "trec_car_values",
]
