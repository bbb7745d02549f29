"""The probability from which on documents count, at a precision or a recall that the user names."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crosstune.export.calibration.pairs import Floats, Numbers, Pairs
from crosstune.export.settings import ThresholdSettings

RESAMPLES = 2000
LEAST = 10
"""Pairs above a threshold below which their precision says nothing: one lucky pair has a precision of 1."""


@dataclass(frozen=True)
class Share:
    """`value` on dev; `low`, `high`: its 95 % percentile bootstrap interval over queries at this threshold;
    `held_out`: on queries that the threshold was not chosen on, `None` where none of their pairs is above."""

    value: float
    low: float
    high: float
    held_out: float | None


@dataclass(frozen=True)
class Threshold:
    """`probability`: what reaches it counts; `low`, `high`: its 95 % percentile bootstrap interval over
    queries, in which 1 stands for dev splits that do not reach what is wanted; `pairs`: of dev, above it;
    `recall`: of the relevant candidates."""

    probability: float
    low: float
    high: float
    pairs: int
    precision: Share
    recall: Share


@dataclass(frozen=True)
class Unreached:
    """`precision`: the best that dev reaches with at least `LEAST` pairs above, `None` where it has fewer
    pairs."""

    precision: float | None


def find_threshold(
    probabilities: Floats, pairs: Pairs, wanted: ThresholdSettings, fold_of: Numbers, seed: int
) -> Threshold | Unreached:
    """The lowest probability with the precision, or the highest with the recall, that is wanted, over all
    pairs of dev. `probabilities`: of the calibration that is saved; it never falls, so that it is the order
    of the values that decides."""
    cuts = _Cuts(probabilities, pairs)
    on_dev = cuts.sums(np.ones(cuts.queries))
    place = on_dev.find(wanted)
    if place is None:
        return Unreached(on_dev.best_precision)
    levels, precisions, recalls = [], [], []
    for weights in _resamples(cuts.queries, seed):
        sums = cuts.sums(weights)
        again = sums.find(wanted)
        levels.append(1.0 if again is None else float(cuts.levels[again]))
        precisions.append(sums.precision(place))
        recalls.append(sums.recall(place))
    precision, recall = _held_out(cuts, wanted, pairs, fold_of)
    low, high = _interval(levels)
    return Threshold(
        float(cuts.levels[place]),
        low,
        high,
        int(on_dev.above[place]),
        Share(on_dev.precision(place), *_interval(precisions), precision),
        Share(on_dev.recall(place), *_interval(recalls), recall),
    )


@dataclass(frozen=True)
class _Sums:
    """`[cuts]`: pairs above each cut, and relevant ones of them; the last cut has everything above."""

    above: Floats
    relevant: Floats

    def find(self, wanted: ThresholdSettings) -> int | None:
        if wanted.recall is not None:
            reached = self.relevant >= wanted.recall * self.relevant[-1]
            return int(np.argmax(reached)) if self.relevant[-1] else None
        enough = self.relevant >= (wanted.precision or 0.0) * self.above
        places = np.flatnonzero((self.above >= LEAST) & enough)
        return int(places[-1]) if len(places) else None

    @property
    def best_precision(self) -> float | None:
        enough = self.above >= LEAST
        return float((self.relevant[enough] / self.above[enough]).max()) if enough.any() else None

    def precision(self, place: int) -> float:
        """NaN where nothing is above."""
        return float(self.relevant[place] / self.above[place]) if self.above[place] else math.nan

    def recall(self, place: int) -> float:
        """NaN where nothing is relevant."""
        return float(self.relevant[place] / self.relevant[-1]) if self.relevant[-1] else math.nan


class _Cuts:
    """Every place where the sorted pairs can be cut, from the most probable on. `levels` `[cuts]`: the least
    probability above."""

    def __init__(self, probabilities: Floats, pairs: Pairs) -> None:
        order = np.argsort(-probabilities, kind="stable")
        levels = probabilities[order]
        self.queries = int(pairs.query.max()) + 1
        self._query = pairs.query[order]
        self._relevant = pairs.relevant[order]
        self._ends = np.flatnonzero(np.append(levels[:-1] > levels[1:], True))
        self.levels: Floats = levels[self._ends]

    def sums(self, weights: Floats) -> _Sums:
        """With a weight for each query."""
        of_pair = weights[self._query]
        above, relevant = np.cumsum(of_pair), np.cumsum(of_pair * self._relevant)
        return _Sums(above[self._ends], relevant[self._ends])


def _resamples(queries: int, seed: int) -> Floats:
    """How often each query is drawn, `[resamples, queries]`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(queries, np.full(queries, 1 / queries), RESAMPLES).astype(np.float64)


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5]).tolist()
    return float(low), float(high)


def _held_out(
    cuts: _Cuts, wanted: ThresholdSettings, pairs: Pairs, fold_of: Numbers
) -> tuple[float | None, float | None]:
    """Precision and recall over all folds, each cut by what the others chose; nothing is above where they
    reach nothing."""
    all_above = all_relevant = all_total = 0.0
    for fold in range(int(fold_of.max()) + 1):
        held = np.zeros(cuts.queries)
        held[pairs.query[fold_of == fold]] = 1.0
        place, sums = cuts.sums(1 - held).find(wanted), cuts.sums(held)
        all_total += float(sums.relevant[-1])
        if place is not None:
            all_above += float(sums.above[place])
            all_relevant += float(sums.relevant[place])
    precision = all_relevant / all_above if all_above else None
    return precision, all_relevant / all_total if all_total else None
