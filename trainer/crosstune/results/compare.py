"""Runs against a first one, measure by measure: what differs, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosstune.evaluate.measures import PerQuery, per_query, total
from crosstune.evaluate.significance import TIE, Comparison, compare, holm, verdict
from crosstune.results.changes import ChangedQuery, most_changed
from crosstune.results.runs import OpenRuns, cut_depth

MEASURES = ("nDCG@10", "RR@10", "R@100")


@dataclass(frozen=True)
class Tested:
    """One run against the first on one measure; `p_holm` is corrected over all measures and all pairs."""

    comparison: Comparison
    p_holm: float
    verdict: str


@dataclass(frozen=True)
class RunComparison:
    """`totals` and `depths` by run, the first run first; `tested` and `changed` by each other run."""

    queries: int
    measures: tuple[str, ...]
    totals: dict[str, dict[str, float]]
    depths: dict[str, int]
    tests: int
    tested: dict[str, dict[str, Tested]]
    changed: dict[str, tuple[ChangedQuery, ...]]
    notes: tuple[str, ...]


def compare_runs(
    opened: OpenRuns, measures: tuple[str, ...], *, changed: int, shown: int, seed: int, resamples: int
) -> RunComparison:
    """Every run against the first one. `changed`: how many queries to show that gained, and that lost."""
    values = {name: per_query(opened.qrels, run, measures) for name, run in opened.runs.items()}
    first, *others = opened.runs
    tested = against(first, values, seed, resamples)
    return RunComparison(
        queries=len(opened.qrels),
        measures=measures,
        totals={name: {m: total(m, v[m]) for m in measures} for name, v in values.items()},
        depths={name: cut_depth(run) for name, run in opened.runs.items()},
        tests=count_tests(tested),
        tested=tested,
        changed={
            name: most_changed(
                (values[first][measures[0]], values[name][measures[0]]),
                (opened.runs[first], opened.runs[name]),
                opened.qrels,
                opened.texts,
                changed,
                shown,
            )
            for name in others
        },
        notes=opened.notes,
    )


def against(
    first: str, values: Mapping[str, PerQuery], seed: int, resamples: int
) -> dict[str, dict[str, Tested]]:
    """Every other system against `first` on every measure, with one Holm correction over all of it.

    A pair that is equal for every query takes no part in the correction: the randomisation test takes the
    sizes of the differences as given, and with these no outcome could have rejected it (Tarone 1990).
    """
    pairs = [(name, measure) for name in values if name != first for measure in values[name]]
    tests = sum(_differ(values[first][m], values[name][m]) for name, m in pairs)
    found = {
        (name, m): compare(values[first][m], values[name][m], seed, resamples, max(1, tests))
        for name, m in pairs
    }
    corrected = holm({pair: c.p for pair, c in found.items() if c.wins + c.losses})
    tested: dict[str, dict[str, Tested]] = {}
    for (name, measure), comparison in found.items():
        p = corrected.get((name, measure), 1.0)
        said = verdict(comparison, p, tests)
        tested.setdefault(name, {})[measure] = Tested(comparison, p, said)
    return tested


def count_tests(tested: Mapping[str, Mapping[str, Tested]]) -> int:
    """How many tests the correction went over."""
    every = (test.comparison for by_measure in tested.values() for test in by_measure.values())
    return sum(c.wins + c.losses > 0 for c in every)


def _differ(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    return any(abs(after[query_id] - value) > TIE for query_id, value in before.items())
