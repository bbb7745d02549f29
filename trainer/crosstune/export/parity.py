"""Parity: the exported model against the trained one, on real pairs, through the very helper."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from crosstune.errors import CheckFailed
from crosstune.serve.limits import allowed


@dataclass(frozen=True)
class Parity:
    """`largest_difference`: of a logit; `spread`: the standard deviation of the trained model's logits;
    `kendall_tau`: of the two orders; `pairs`: how many were compared."""

    pairs: int
    largest_difference: float
    spread: float
    kendall_tau: float
    same_order: bool


def logit_spread(logits: Iterable[float]) -> float:
    """The standard deviation; that of finite logits alone, so that a NaN allows nothing."""
    return statistics.pstdev([x for x in logits if math.isfinite(x)] or [0.0])


def compare_logits(trained: Sequence[float], exported: Sequence[float], tolerance: float) -> Parity:
    """Raises `CheckFailed` beyond what is `allowed`, with the pair that differs most.

    The order counts as the same when no two pairs that torch tells apart by more than the largest
    difference met have changed places.
    """
    from scipy.stats import kendalltau

    differences = [abs(a - b) for a, b in zip(trained, exported, strict=True)]
    worst = max(range(len(differences)), key=lambda i: (math.isnan(differences[i]), differences[i]))
    largest, spread = differences[worst], logit_spread(trained)
    most = allowed(tolerance, spread)
    if not largest <= most:  # NaN is beyond everything
        raise CheckFailed(
            f"the exported model differs from the trained one by {largest:.2e} in the logit of pair {worst} "
            f"({trained[worst]:.6f} trained, {exported[worst]:.6f} exported); export.tolerance is "
            f"{tolerance:g}, which allows {most:.1e} where logits spread by {spread:.2g}. "
            "Nothing was exported"
        )
    by_trained = sorted(range(len(trained)), key=lambda i: trained[i])
    kept = all(
        exported[a] <= exported[b] or trained[b] - trained[a] <= 2 * largest for a, b in pairwise(by_trained)
    )
    tau = float(kendalltau(trained, exported).statistic) if len(set(trained)) > 1 else 1.0
    return Parity(len(trained), largest, spread, tau, kept)
