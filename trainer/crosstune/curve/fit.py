"""A power law through what trainings on parts of the labels reached, and where it leads.

Error against the size of a training set follows `c - a n^-b` over wide ranges (Hestness et al. 2017,
arXiv:1712.00409; for learning curves in general Viering & Loog 2023, doi:10.1109/TPAMI.2022.3220744).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RESAMPLES = 300
TIMES = (2, 4)
"""How many times the labels the curve is followed to."""
WORTH = 0.01
"""Gain in nDCG@10 from which twice the labels are called worth it."""
STEEPEST, FLATTEST = 3.0, 0.05
"""Bounds of the exponent `b`."""


@dataclass(frozen=True)
class Point:
    """A training on `queries` labelled queries, `share` of all: nDCG@10 on dev with its 95 % interval."""

    share: float
    queries: int
    groups: int
    ndcg: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """At `queries`: nDCG@10 and its gain over the curve at all labels of today, each with a 95 % interval."""

    queries: int
    ndcg: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class LearningCurve:
    """What `curve.json` holds. `law`: `c`, `a`, `b` of `c - a (n / n_all)^-b`; `reference`: dev nDCG@10 of
    `first_stage`, `base` and `ceiling`; `unused`: labelled queries that no group was mined of."""

    schema: int
    measure: str
    dev_queries: int
    points: list[Point]
    law: dict[str, float]
    forecasts: list[Forecast]
    reference: dict[str, float | None]
    unused: int
    sentence: str


def power_law(share: Floats, c: float, a: float, b: float) -> Floats:
    """nDCG at a `share` of today's labels, `[points]`."""
    curve: Floats = c - a * share**-b
    return curve


def _slopes(share: Floats, _: float, a: float, b: float) -> Floats:
    """Derivatives of `power_law` by `c`, `a` and `b`, `[points, 3]`."""
    power = share**-b
    return np.stack([np.ones_like(share), -power, a * power * np.log(share)], axis=1)


def fit(shares: Sequence[float], values: Floats, ceiling: float) -> Floats | None:
    """`c`, `a`, `b` by least squares, with `0 <= c <= ceiling` and a curve that does not fall; `None` where
    the search ends without an answer."""
    from scipy.optimize import curve_fit

    top = max(ceiling, 1e-6)
    start = [min(top, float(values[-1]) + 0.02), 0.02, 0.5]
    bounds = ([0.0, 0.0, FLATTEST], [top, 1.0, STEEPEST])
    try:
        found, _ = curve_fit(
            power_law, np.asarray(shares), values, p0=start, bounds=bounds, jac=_slopes, max_nfev=5000
        )
    except RuntimeError:
        return None
    law: Floats = found
    return law


def forecast(
    points: Sequence[Mapping[str, float]], counts: Sequence[int], ceiling: float, seed: int
) -> tuple[Floats, list[tuple[float, float]], list[Forecast]]:
    """The law, the interval of each point and what it says of more labels.

    `points`: query id -> nDCG@10 on dev of each training, rising; `counts`: their labelled queries. The
    intervals are percentile bootstraps over the dev queries, the same resample for all trainings: how well
    dev measures, not how else another draw of queries or another seed would have come out.
    """
    queries = list(points[0])
    table = np.array([[found[query_id] for query_id in queries] for found in points])
    shares = [count / counts[-1] for count in counts]
    law = fit(shares, table.mean(axis=1), ceiling)
    if law is None:
        law = np.array([table[-1].mean(), 0.0, FLATTEST])
    rng = np.random.default_rng(seed)
    means, laws = [], []
    for _ in range(RESAMPLES):
        drawn = table[:, rng.integers(len(queries), size=len(queries))].mean(axis=1)
        means.append(drawn)
        if (again := fit(shares, drawn, ceiling)) is not None:
            laws.append(again)
    spans = [_interval(row) for row in np.array(means).T]
    every = np.array(laws or [law])
    return law, spans, [_forecast(law, every, times, counts[-1]) for times in TIMES]


def _forecast(law: Floats, laws: Floats, times: int, queries: int) -> Forecast:
    there, today = (_at(law[None], place)[0] for place in (times, 1.0))
    of_all = _at(laws, float(times))
    low, high = _interval(of_all)
    gains = _interval(of_all - _at(laws, 1.0))
    return Forecast(times * queries, float(there), low, high, float(there - today), *gains)


def _at(laws: Floats, share: float) -> Floats:
    """Of each law `[laws, 3]`."""
    found: Floats = laws[:, 0] - laws[:, 1] * share ** -laws[:, 2]
    return found


def _interval(values: Any) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def advice(twice: Forecast, labelled: int, unused: int) -> str:
    """One sentence on whether labelling more is worth it. `twice`: the forecast at twice the labels."""
    gain = f"{twice.gain:+.3f} nDCG@10 on dev, 95 % interval [{twice.gain_low:+.3f}, {twice.gain_high:+.3f}]"
    more = f"{labelled} more labelled queries, twice of today's,"
    if twice.gain_low >= WORTH:
        found = f"labelling more is worth it: {more} are expected to bring {gain}"
    elif twice.gain_high < WORTH:
        found = f"labelling more is hardly worth it: {more} are expected to bring {gain}"
    else:
        found = f"dev cannot tell whether labelling more is worth it: {more} may bring {gain}"
    if unused:
        found += f"; {unused} labelled queries are not even used yet (mine.max_groups, mine.query_share)"
    return found
