"""Evaluation: measures, ceiling, significance, leakage, report."""

from crosstune.evaluate.measures import at_depth, ceiling, mean, per_query
from crosstune.evaluate.settings import EvaluationSettings

__all__ = ["EvaluationSettings", "at_depth", "ceiling", "mean", "per_query"]
