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
    return Parity(len(trained), largest, spread, kendall_tau(exported, trained), kept)


def kendall_tau(found: Sequence[float], exact: Sequence[float]) -> float:
    """Tau-b of two orders of the same items. 1 where the exact one knows only ties: nothing can be lost."""
    from scipy.stats import kendalltau

    if len(set(exact)) < 2:
        return 1.0
    value = float(kendalltau(found, exact).statistic)
    # Equal orders with ties come out as .9999999999999999, below a limit of 1.
    return 0.0 if math.isnan(value) else round(value, 12)
