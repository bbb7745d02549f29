"""The three ways from a score to a probability, fitted by scikit-learn.

All are fitted on Platt's targets, `(r + 1) / (r + 2)` for a relevant pair and `1 / (o + 2)` for another one
(`r` relevant and `o` other pairs): no probability becomes 0 or 1, and a dev split that the scores separate
perfectly has a finite slope (Platt 1999, section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crosstune.export.calibration.pairs import Flags, Floats
from crosstune.serve.calibration import Curve, Isotonic, Platt, Temperature

Fit = Callable[[Floats, Flags], Curve | None]


def targets(relevant: Flags) -> tuple[float, float]:
    """Platt's: of the other pairs and of the relevant ones."""
    count = int(relevant.sum())
    return 1 / (len(relevant) - count + 2), (count + 1) / (count + 2)


def fit_temperature(values: Floats, relevant: Flags) -> Temperature | None:
    slope, _ = _logistic(values, relevant, intercept=False)
    return Temperature(1 / slope) if slope > 0 else None


def fit_platt(values: Floats, relevant: Flags) -> Platt | None:
    slope, intercept = _logistic(values, relevant, intercept=True)
    return Platt(slope, intercept) if slope > 0 else None


def fit_isotonic(values: Floats, relevant: Flags) -> Isotonic | None:
    from sklearn.isotonic import IsotonicRegression

    low, high = targets(relevant)
    found = IsotonicRegression(out_of_bounds="clip").fit(values, np.where(relevant, high, low))
    points, heights = found.X_thresholds_.tolist(), found.y_thresholds_.tolist()
    return Isotonic(tuple(points), tuple(heights)) if heights[0] < heights[-1] else None


METHODS: dict[str, Fit] = {"temperature": fit_temperature, "platt": fit_platt, "isotonic": fit_isotonic}
"""The simplest first. Each gives `None` where a higher score does not mean more relevance."""


def _logistic(values: Floats, relevant: Flags, *, intercept: bool) -> tuple[float, float]:
    """Slope and intercept: each pair counts as relevant by its target, and as not by the rest of it."""
    from sklearn.linear_model import LogisticRegression

    scale = float(np.abs(values).max()) or 1.0
    goal = np.where(relevant, *reversed(targets(relevant)))
    model = LogisticRegression(C=np.inf, fit_intercept=intercept, solver="newton-cholesky", tol=1e-8)
    model.fit(
        np.concatenate([values, values])[:, None] / scale,
        np.repeat([1, 0], len(values)),
        sample_weight=np.concatenate([goal, 1 - goal]),
    )
    return float(model.coef_[0, 0]) / scale, float(np.ravel(model.intercept_)[0])
