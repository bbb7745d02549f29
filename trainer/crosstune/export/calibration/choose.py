"""Which of the ways to calibrate is taken: the one with the best log loss on queries that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from crosstune.export.calibration.fit import METHODS, targets
from crosstune.export.calibration.pairs import Floats, Numbers, Pairs
from crosstune.export.calibration.quality import Quality, log_loss, quality
from crosstune.serve.calibration import Curve, sigmoid

FOLDS = 5


@dataclass(frozen=True)
class Chosen:
    """`curve`: fitted on all of dev. `log_losses`: method -> log loss on queries that it was not fitted on;
    `base_rate`: that of the share of relevant pairs alone. `before`: of the sigmoid; `after`: of the chosen
    method, on queries that it was not fitted on, whose probabilities are `held_out` `[pairs]`."""

    method: str
    curve: Curve
    log_losses: dict[str, float]
    base_rate: float
    before: Quality
    after: Quality
    sigmoids: Floats
    held_out: Floats


@dataclass(frozen=True)
class NoUse:
    """The scores tell no more of relevance than its share does. `best`: the least log loss, `None` where no
    method rises with the score."""

    best: float | None
    base_rate: float


def folds_of(pairs: Pairs, seed: int) -> Numbers:
    """The fold of each pair; the pairs of a query stand in one, and relevant ones in all folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    fold_of = np.zeros(len(pairs.values), dtype=np.int64)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (_, held) in enumerate(splitter.split(pairs.values, pairs.relevant, pairs.query)):
        fold_of[held] = number
    return fold_of


def choose(pairs: Pairs, fold_of: Numbers) -> Chosen | NoUse:
    """Fits every method without each fold in turn, and the best one on everything. A method that does not
    rise with the score, on all pairs or without a fold, is out."""
    base_rate = log_loss(_base_rates(pairs, fold_of), pairs.relevant)
    held_out = {name: _held_out(name, pairs, fold_of) for name in METHODS}
    losses = {name: log_loss(found, pairs.relevant) for name, found in held_out.items() if found is not None}
    curves = {name: METHODS[name](pairs.values, pairs.relevant) for name in losses}
    losses = {name: loss for name, loss in losses.items() if curves[name] is not None}
    method = min(losses, key=losses.__getitem__, default=None)
    if method is None or losses[method] >= base_rate:
        return NoUse(None if method is None else losses[method], base_rate)
    sigmoids = np.array([sigmoid(value) for value in pairs.values.tolist()])
    after = cast("Floats", held_out[method])
    return Chosen(
        method=method,
        curve=cast("Curve", curves[method]),
        log_losses=losses,
        base_rate=base_rate,
        before=quality(sigmoids, pairs.relevant),
        after=quality(after, pairs.relevant),
        sigmoids=sigmoids,
        held_out=after,
    )


def _held_out(method: str, pairs: Pairs, fold_of: Numbers) -> Floats | None:
    found = np.empty(len(pairs.values))
    for fold in range(FOLDS):
        held = fold_of == fold
        curve = METHODS[method](pairs.values[~held], pairs.relevant[~held])
        if curve is None:
            return None
        found[held] = curve.probabilities(pairs.values[held].tolist())
    return found


def _base_rates(pairs: Pairs, fold_of: Numbers) -> Floats:
    """For each pair the mean target of the other folds."""
    found = np.empty(len(pairs.values))
    for fold in range(FOLDS):
        held = fold_of == fold
        low, high = targets(pairs.relevant[~held])
        found[held] = low + (high - low) * pairs.relevant[~held].mean()
    return found
