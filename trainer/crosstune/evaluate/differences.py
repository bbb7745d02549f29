"""Systems over the same queries: their means, and the differences between them with a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from crosstune.evaluate.measures import PerQuery, total
from crosstune.evaluate.settings import EvaluationSettings
from crosstune.evaluate.significance import compare, holm, verdict

Values = Mapping[str, PerQuery]
"""system -> measure -> query id -> value."""


def means(values: PerQuery) -> dict[str, float]:
    return {measure: total(measure, by_query) for measure, by_query in values.items()}


def differences(
    values: Values, pairs: Iterable[tuple[str, str]], settings: EvaluationSettings, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """`SYSTEM against OTHER` -> measure -> comparison, for the (system, other) of `pairs` that are there."""
    return {
        f"{system} against {other}": _compare(values[other], values[system], settings, seed)
        for system, other in pairs
        if system in values
    }


def _compare(
    baseline: PerQuery, other: PerQuery, settings: EvaluationSettings, seed: int
) -> dict[str, dict[str, Any]]:
    """Measure -> comparison; Holm's correction runs over the headline and the measures that rank, not over
    other recall."""
    headline, *others = settings.measures
    measures = [headline, *(m for m in others if not m.startswith(("R@", "Judged")))]
    tests = len(measures)
    found = {m: compare(baseline[m], other[m], seed, settings.resamples, tests) for m in measures}
    corrected = holm({measure: comparison.p for measure, comparison in found.items()})
    return {
        measure: {**asdict(c), "p_holm": corrected[measure], "verdict": verdict(c, corrected[measure], tests)}
        for measure, c in found.items()
    }
