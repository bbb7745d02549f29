"""How far grades agree with those of people, corrected for chance.

Cohen 1960, "A coefficient of agreement for nominal scales", and 1968 for the weighted form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
Grades = NDArray[np.int_]
Pair = tuple[str, str]
"""Query id and document id."""


@dataclass(frozen=True)
class Agreement:
    """`pairs`: graded by both, of so many `queries`; `ungraded`: judged by people, without a usable grade.

    `counts`: "people's grade/its grade" -> pairs. `equal`: share of the pairs with the very same grade.
    `kappa`: Cohen's, of relevant (above 0) or not; `weighted_kappa`: of the grades, quadratic weights, None
    where people's have no more than two, or go beyond its scale. `interval`, `weighted_interval`: 95 %, by a
    bootstrap over queries. A kappa is None where people gave all pairs one grade, and an interval where there
    is but one query: `why` says so. `assumed`: pairs that nobody judged and that were taken for not relevant.
    """

    pairs: int
    queries: int
    ungraded: int
    assumed: int
    equal: float | None
    kappa: float | None
    interval: tuple[float, float] | None
    weighted_kappa: float | None
    weighted_interval: tuple[float, float] | None
    counts: dict[str, int]
    why: str | None


def agreement(
    people: Mapping[Pair, int], found: Mapping[Pair, int | None], seed: int, highest: int, assumed: int = 0
) -> Agreement:
    """Compares the grades of `people` with those `found`, which end at `highest`; one below 0 counts 0."""
    pairs = [pair for pair in people if found.get(pair) is not None]
    theirs = np.array([max(people[pair], 0) for pair in pairs], dtype=int)
    its = np.array([found[pair] for pair in pairs], dtype=int)
    _, query = np.unique([query_id for query_id, _ in pairs], return_inverse=True)
    queries = int(query.max()) + 1 if pairs else 0
    counts = Counter(f"{a}/{b}" for a, b in zip(theirs.tolist(), its.tolist(), strict=True))
    kappa = interval = weighted = weighted_interval = None
    missing: list[str] = []
    if not pairs:
        missing.append("no kappa: no pair to compare")
    elif len(set((theirs > 0).tolist())) < 2:
        one = "relevant" if theirs[0] > 0 else "not relevant"
        missing.append(f"no kappa: people call all {len(pairs)} pairs {one}")
    else:
        yes, its_yes = (theirs > 0).astype(int), (its > 0).astype(int)
        kappa = _kappa(yes, its_yes, None)
        interval = _interval(yes, its_yes, query, seed, None)
        if queries < 2:
            missing.append("no interval: the pairs are of one query")
        if theirs.max() > highest:
            missing.append(f"no kappa of the grades: people's go to {theirs.max()}, its to {highest}")
        elif len(set(theirs.tolist())) > 2:
            weighted = _kappa(theirs, its, "quadratic")
            weighted_interval = _interval(theirs, its, query, seed, "quadratic")
    return Agreement(
        pairs=len(pairs),
        queries=queries,
        ungraded=len(people) - len(pairs),
        assumed=assumed,
        equal=float(np.mean(theirs == its)) if pairs else None,
        kappa=kappa,
        interval=interval,
        weighted_kappa=weighted,
        weighted_interval=weighted_interval,
        counts=dict(sorted(counts.items())),
        why="; ".join(missing) or None,
    )


def _kappa(theirs: Grades, its: Grades, weights: str | None) -> float:
    from sklearn.metrics import cohen_kappa_score

    # Weights go by the place among the labels: a grade that does not occur keeps its own.
    every = range(int(max(theirs.max(), its.max())) + 1)
    return float(cohen_kappa_score(theirs, its, labels=every, weights=weights))


def _interval(
    theirs: Grades, its: Grades, query: Grades, seed: int, weights: str | None
) -> tuple[float, float] | None:
    """Percentiles over resamples of whole queries, since the pairs of one query are not independent. A
    resample without both kinds of grades has no kappa and is passed over."""
    queries = int(query.max()) + 1
    if queries < 2:
        return None
    size = int(max(theirs.max(), its.max())) + 1
    tables = np.zeros((queries, size, size))
    np.add.at(tables, (query, theirs, its), 1)
    drawn = np.random.default_rng(seed).integers(queries, size=(RESAMPLES, queries))
    values = kappas(np.stack([tables[row].sum(axis=0) for row in drawn]), weights)
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def kappas(tables: NDArray[np.float64], weights: str | None) -> NDArray[np.float64]:
    """Of each table of counts, `[tables, grades, grades]`: 1 - seen / expected, both summed by how much two
    grades differ (1, or the difference's square). sklearn takes 6 s for what this does in milliseconds."""
    grades = np.arange(tables.shape[1])
    differ = np.subtract.outer(grades, grades).astype(float) ** 2
    if weights is None:
        differ = (differ > 0).astype(float)
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    expected = np.einsum("ti,tj,ij->t", rows, columns, differ) / tables.sum(axis=(1, 2))
    seen = (tables * differ).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - seen / expected, np.nan)


def lines(found: Agreement) -> list[str]:
    """For a person: what was compared, and how well it agrees."""
    said = [
        f"agreement with people: {found.pairs} pairs of {found.queries} queries"
        + (f", {found.assumed} of them judged by nobody and taken for not relevant" if found.assumed else "")
        + (f"; {found.ungraded} more without a usable grade" if found.ungraded else "")
    ]
    if found.kappa is not None:
        said.append(f"  Cohen's kappa, relevant or not: {_number(found.kappa, found.interval)}")
    if found.weighted_kappa is not None:
        said.append(
            f"  of the grades, quadratic weights: {_number(found.weighted_kappa, found.weighted_interval)}"
        )
    if found.equal is not None:
        said.append(f"  the very same grade: {100 * found.equal:.0f} %")
    if found.counts:
        said.append(
            "  people's grade/its grade: " + ", ".join(f"{k} {count}" for k, count in found.counts.items())
        )
    if found.why:
        said.append(f"  {found.why}")
    return said


def _number(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.3f}" + (f", 95 % interval [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
