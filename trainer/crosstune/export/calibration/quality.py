"""How good probabilities are: log loss, Brier score and expected calibration error."""

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
