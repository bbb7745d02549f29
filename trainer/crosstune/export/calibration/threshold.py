"""The probability from which on documents count, at a precision or a recall that the user names."""

from __future__ import annotations

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
    everything = np.ones(cuts.queries)
    place = cuts.find(everything, wanted)
    if place is None:
        return Unreached(cuts.best_precision(everything))
    counts = _resamples(cuts.queries, seed)
    levels, precisions, recalls = [], [], []
    for weights in counts:
        again = cuts.find(weights, wanted)
        levels.append(1.0 if again is None else float(cuts.levels[again]))
        above, relevant, total = cuts.at(place, weights)
        precisions.append(relevant / above if above else np.nan)
        recalls.append(relevant / total if total else np.nan)
    above, relevant, total = cuts.at(place, everything)
    precision, recall = _held_out(cuts, wanted, pairs, fold_of)
    low, high = _interval(levels)
    return Threshold(
        float(cuts.levels[place]),
        low,
        high,
        int(above),
        Share(relevant / above, *_interval(precisions), precision),
        Share(relevant / total, *_interval(recalls), recall),
    )


class _Cuts:
    """Every place where the sorted pairs can be cut, from the most probable on. Weights are of queries."""

    def __init__(self, probabilities: Floats, pairs: Pairs) -> None:
        order = np.argsort(-probabilities, kind="stable")
        levels = probabilities[order]
        self.queries = int(pairs.query.max()) + 1
        self._query = pairs.query[order]
        self._relevant = pairs.relevant[order]
        self._ends = np.flatnonzero(np.append(levels[:-1] > levels[1:], True))
        self.levels: Floats = levels[self._ends]

    def find(self, weights: Floats, wanted: ThresholdSettings) -> int | None:
        above, relevant = self._sums(weights)
        if wanted.recall is not None:
            reached = relevant >= wanted.recall * relevant[-1]
            return int(np.argmax(reached)) if relevant[-1] else None
        places = np.flatnonzero((above >= LEAST) & (relevant >= (wanted.precision or 0.0) * above))
        return int(places[-1]) if len(places) else None

    def best_precision(self, weights: Floats) -> float | None:
        above, relevant = self._sums(weights)
        enough = above >= LEAST
        return float((relevant[enough] / above[enough]).max()) if enough.any() else None

    def at(self, place: int, weights: Floats) -> tuple[float, float, float]:
        """Pairs above, relevant ones of them, and relevant ones in all."""
        above, relevant = self._sums(weights)
        return float(above[place]), float(relevant[place]), float(relevant[-1])

    def _sums(self, weights: Floats) -> tuple[Floats, Floats]:
        of_pair = weights[self._query]
        return np.cumsum(of_pair)[self._ends], np.cumsum(of_pair * self._relevant)[self._ends]


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
        place = cuts.find(1 - held, wanted)
        above, relevant, total = cuts.at(place or 0, held)
        all_total += total
        if place is not None:
            all_above, all_relevant = all_above + above, all_relevant + relevant
    precision = all_relevant / all_above if all_above else None
    return precision, all_relevant / all_total if all_total else None
