"""Whether a difference between two systems over the same queries is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIE = 1e-9
POWER_Z = 1.959964 + 0.841621
"""Two-sided 5 % error and 80 % power, in standard errors."""


@dataclass(frozen=True)
class Comparison:
    """`difference`: mean over queries of other - baseline; `low`, `high`: its 95 % bootstrap interval;
    `p`: two-sided paired randomisation test; `detectable`: the smallest true difference that this many
    queries would show in four of five repetitions; `effect`: the difference in standard deviations of the
    per-query differences (Cohen's d for pairs), 0 when all differences are equal."""

    difference: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int
    detectable: float
    effect: float


def interval(values: Sequence[float], seed: int, resamples: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean, by scipy; the value itself when there is one."""
    import numpy as np
    from scipy.stats import bootstrap

    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2 or numbers.min() == numbers.max():
        only = float(numbers[0]) if len(numbers) else 0.0
        return only, only
    found = bootstrap(
        (numbers,),
        np.mean,
        n_resamples=resamples,
        method="percentile",
        batch=1000,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def compare(
    baseline: Mapping[str, float], other: Mapping[str, float], seed: int, resamples: int
) -> Comparison:
    """Compares per-query values of two systems over the same queries.

    The p-value is `(c + 1) / (n + 1)` over `n` random sign flips (Smucker, Allan & Carterette 2007), exact
    when there are at most `resamples` flips; the interval is the percentile bootstrap. Both by scipy.
    """
    import numpy as np
    from scipy.stats import permutation_test

    differences = np.array([other[query_id] - baseline[query_id] for query_id in baseline])
    count = len(differences)
    wins, losses = int((differences > TIE).sum()), int((differences < -TIE).sum())
    difference = float(differences.mean()) if count else 0.0
    if wins + losses == 0 or count < 2:
        return Comparison(
            difference, difference, difference, 1.0, wins, count - wins - losses, losses, 0.0, 0.0
        )
    test = permutation_test(
        (differences,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=1000,
        random_state=np.random.default_rng(seed),
    )
    low, high = interval(differences.tolist(), seed, resamples)
    deviation = float(differences.std(ddof=1))
    return Comparison(
        difference=difference,
        low=low,
        high=high,
        p=float(test.pvalue),
        wins=wins,
        ties=count - wins - losses,
        losses=losses,
        detectable=POWER_Z * deviation / count**0.5,
        effect=difference / deviation if deviation > TIE else 0.0,
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (1979): adjusted p-values, by name."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - place)))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def verdict(comparison: Comparison, p: float) -> str:
    """One sentence on what the test set can and cannot tell; `p` is the corrected p-value."""
    if p < 0.05:
        return "better than chance explains" if comparison.difference > 0 else "worse than chance explains"
    return (
        f"this test set is too small to tell: it would show a true difference of "
        f"{comparison.detectable:.3f} or more"
    )
