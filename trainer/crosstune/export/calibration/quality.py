"""How good probabilities are: log loss, Brier score, expected calibration error and reliability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crosstune.export.calibration.pairs import Flags, Floats, Numbers

BINS = 10


@dataclass(frozen=True)
class Quality:
    """Over pairs. `log_loss`: natural; `brier`: mean squared distance (Brier 1950); `ece`: see
    `calibration_error`."""

    log_loss: float
    brier: float
    ece: float


@dataclass(frozen=True)
class Bin:
    """Pairs whose probability lies in one tenth of the scale. `mean`: of the probability; `low`, `high`:
    Wilson's 95 % interval of the share of relevant ones."""

    pairs: int
    relevant: int
    mean: float
    low: float
    high: float


def quality(probabilities: Floats, relevant: Flags) -> Quality:
    from sklearn.metrics import brier_score_loss

    return Quality(
        log_loss(probabilities, relevant),
        float(brier_score_loss(relevant, probabilities)),
        calibration_error(probabilities, relevant),
    )


def log_loss(probabilities: Floats, relevant: Flags) -> float:
    from sklearn.metrics import log_loss as mean_log_loss

    return float(mean_log_loss(relevant, probabilities, labels=[False, True]))


def calibration_error(probabilities: Floats, relevant: Flags, bins: int = BINS) -> float:
    """The expected calibration error over bins of equal mass (Nguyen & O'Connor 2015, arXiv:1508.05154): the
    distance of mean probability and share of relevant pairs in a bin, weighted by its pairs.

    Equal probabilities stay in one bin, the one in which the first of them falls, so that the value does not
    depend on the order of the pairs."""
    order = np.argsort(probabilities, kind="stable")
    sorted_ = probabilities[order]
    first = np.searchsorted(sorted_, sorted_, side="left")  # of those that are equal
    bin_of: Numbers = first * bins // len(sorted_)
    counts = np.bincount(bin_of, minlength=bins)
    distances = np.bincount(bin_of, sorted_, bins) - np.bincount(bin_of, relevant[order], bins)
    return float(np.abs(distances[counts > 0]).sum() / len(sorted_))


def reliability(probabilities: Floats, relevant: Flags) -> list[Bin]:
    """The bins that hold a pair, from the lowest on."""
    from scipy.stats import binomtest

    place = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    bins = []
    for number in np.unique(place).tolist():
        inside = place == number
        count, positive = int(inside.sum()), int(relevant[inside].sum())
        around = binomtest(positive, count).proportion_ci(method="wilson")
        mean = float(probabilities[inside].mean())
        bins.append(Bin(count, positive, mean, float(around.low), float(around.high)))
    return bins
