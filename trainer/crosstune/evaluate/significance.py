"""Whether a difference between two systems over the same queries is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name")
TIE = 1e-9
ERROR, POWER = 0.05, 0.8
"""What `detectable` stands for: two-sided 5 % error, shared by all tests, and 80 % power."""


@dataclass(frozen=True)
class Comparison:
    """`difference`: mean over queries of other - baseline; `low`, `high`: its 95 % bootstrap interval;
    `p`: two-sided paired randomisation test, over every pattern of signs where `exact`; `detectable`: the
    smallest true difference that this many queries would show in four of five repetitions; `effect`: the
    difference in standard deviations of the per-query differences (Cohen's d for pairs), 0 when all
    differences are equal."""

    difference: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int
    detectable: float
    effect: float
    exact: bool


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
    baseline: Mapping[str, float], other: Mapping[str, float], seed: int, resamples: int, tests: int = 1
) -> Comparison:
    """Compares per-query values of two systems over the same queries.

    The p-value is `(c + 1) / (n + 1)` a side over `n` random sign flips (Smucker, Allan & Carterette 2007),
    exact when the queries that changed have at most `resamples` patterns of signs; the interval is the
    percentile bootstrap. Both by scipy. `tests`: how many tests share the error that `detectable` allows.
    """
    import numpy as np

    differences = np.array([other[query_id] - baseline[query_id] for query_id in baseline])
    count = len(differences)
    wins, losses = int((differences > TIE).sum()), int((differences < -TIE).sum())
    low, high = interval(differences.tolist(), seed, resamples)
    changed = [float(d) for d in differences if abs(d) > TIE]
    deviation = float(differences.std(ddof=1)) if count > 1 else 0.0
    difference = float(differences.mean()) if count else 0.0
    return Comparison(
        difference=difference,
        low=low,
        high=high,
        p=randomisation_test(changed, seed, resamples),
        wins=wins,
        ties=count - wins - losses,
        losses=losses,
        detectable=_standard_errors(tests) * deviation / max(1, count) ** 0.5,
        effect=difference / deviation if deviation > TIE else 0.0,
        exact=is_exact(len(changed), resamples),
    )


def randomisation_test(changed: Sequence[float], seed: int, resamples: int) -> float:
    """The p-value of a mean over queries, from the differences other than 0 alone: no flip changes a 0, so
    leaving them out gives the same distribution with fewer patterns to go through."""
    import numpy as np
    from scipy.stats import permutation_test

    if len(changed) < 2:
        return 1.0  # both signs of one difference are equally far from 0
    return float(
        permutation_test(
            (np.asarray(changed),),
            lambda sample, axis: sample.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            batch=1000,
            random_state=np.random.default_rng(seed),
        ).pvalue
    )


def is_exact(changed: int, resamples: int) -> bool:
    """Whether the test goes through every pattern of signs of that many differences."""
    return changed < 64 and 2**changed <= resamples


def _standard_errors(tests: int) -> float:
    """How many standard errors a true difference must have to be found."""
    from scipy.stats import norm

    return float(norm.ppf(1 - ERROR / (2 * tests)) + norm.ppf(POWER))


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Holm's step-down correction (1979): adjusted p-values, by name."""
    adjusted: dict[Name, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - place)))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def verdict(comparison: Comparison, p: float, tests: int = 1) -> str:
    """One sentence on what the test set can and cannot tell; `p` is the p-value corrected for `tests`."""
    changed = comparison.wins + comparison.losses
    if changed == 0:
        return "equal for every query"
    if p < ERROR:
        return "better than chance explains" if comparison.difference > 0 else "worse than chance explains"
    if tests * 2.0 ** (1 - changed) >= ERROR:
        return (
            f"too few queries changed to tell ({changed}): even all in one direction would have p = "
            f"{min(1.0, tests * 2.0 ** (1 - changed)):.2g}"
        )
    return (
        f"this test set is too small to tell: it would show a true difference of "
        f"{comparison.detectable:.3f} or more"
    )
