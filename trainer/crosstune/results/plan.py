"""How deep to rerank: quality against depth against time, from one run that scored the deepest list."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from crosstune.errors import InputError
from crosstune.evaluate.measures import PerQuery, at_depth, ceiling, in_order, per_query, total
from crosstune.evaluate.significance import ERROR
from crosstune.records import Qrels, Run
from crosstune.results.compare import Tested, against

DEPTHS = (5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Speed:
    """`pair`: milliseconds to score a query and a passage; `first_stage`: a query's, where it is known."""

    pair: float
    first_stage: float | None


@dataclass(frozen=True)
class Point:
    """Reranking to one depth (0: not at all): `gain` is against depth 0, corrected over all depths; `ceiling`
    an oracle's value at that depth; `milliseconds` a query, the first stage's included where known."""

    depth: int
    value: float
    ceiling: float
    milliseconds: float
    within_budget: bool
    gain: Tested | None


@dataclass(frozen=True)
class Against:
    """One depth against another."""

    depth: int
    tested: Tested


@dataclass(frozen=True)
class Plan:
    """`best`: the depth with the highest value within the budget; `smallest`: the least depth that is not
    significantly below it, `smaller` being all less deep ones against it; `peak`: the best of all depths,
    `deeper` those beyond it that are lower."""

    measure: str
    queries: int
    scored_depth: int
    budget: float
    budget_depth: int
    speed: Speed
    points: tuple[Point, ...]
    best: int
    smallest: int
    smaller: tuple[Against, ...]
    peak: int
    deeper: tuple[Against, ...]
    notes: tuple[str, ...]


def plan(
    qrels: Qrels,
    candidates: Run,
    run: Run,
    measure: str,
    speed: Speed,
    budget: float,
    depths: Sequence[int],
    *,
    seed: int,
    resamples: int,
    notes: Sequence[str] = (),
) -> Plan:
    """Reranking to depth k is the first k candidates in the run's order, the rest beneath in their own.

    `budget`: milliseconds a query; `depths`: those to try, the usual ones when empty. Raises `InputError` for
    a run that does not rerank these candidates, for a depth beyond what it scored, and for a budget that the
    first stage alone exceeds.
    """
    candidates = {q: scores for q, scores in candidates.items() if q in qrels and scores}
    if (speed.first_stage or 0.0) > budget:
        raise InputError(
            f"the first stage alone takes {speed.first_stage:.1f} ms a query: a budget of {budget:g} ms "
            "leaves nothing to rerank in"
        )
    deepest = scored_depth(candidates, run)
    values = {
        str(depth): per_query(qrels, at_depth(candidates, run, depth), [measure])
        for depth in (0, *chosen_depths(depths, deepest))
    }
    test = partial(_against, values, measure, seed, resamples)
    points = _points(qrels, candidates, values, measure, speed, budget, test)
    best = _best([point for point in points if point.within_budget])
    peak = _best(points)
    smaller = test(best, [point.depth for point in points if point.depth < best])
    deeper = test(peak, [point.depth for point in points if point.depth > peak])
    enough = [loss.depth for loss in smaller if not is_worse(loss.tested)]
    return Plan(
        measure=measure,
        queries=len(qrels),
        scored_depth=deepest,
        budget=budget,
        budget_depth=math.floor((budget - (speed.first_stage or 0.0)) / speed.pair),
        speed=speed,
        points=tuple(points),
        best=best,
        smallest=min([*enough, best]),
        smaller=smaller,
        peak=peak,
        deeper=tuple(loss for loss in deeper if loss.tested.comparison.difference < 0),
        notes=tuple(notes),
    )


def _points(
    qrels: Qrels,
    candidates: Run,
    values: Mapping[str, PerQuery],
    measure: str,
    speed: Speed,
    budget: float,
    test: Callable[[int, Sequence[int]], tuple[Against, ...]],
) -> list[Point]:
    gains = {gain.depth: gain.tested for gain in test(0, [int(depth) for depth in values if depth != "0"])}
    oracle = ceiling(qrels, candidates)
    points = []
    for depth in map(int, values):
        reachable = per_query(qrels, at_depth(candidates, oracle, depth), [measure])
        milliseconds = (speed.first_stage or 0.0) + speed.pair * pairs_a_query(candidates, depth)
        points.append(
            Point(
                depth=depth,
                value=total(measure, values[str(depth)][measure]),
                ceiling=total(measure, reachable[measure]),
                milliseconds=milliseconds,
                within_budget=milliseconds <= budget,
                gain=gains.get(depth),
            )
        )
    return points


def _against(
    values: Mapping[str, PerQuery],
    measure: str,
    seed: int,
    resamples: int,
    first: int,
    others: Sequence[int],
) -> tuple[Against, ...]:
    """Each of the other depths against the first one."""
    chosen = {str(depth): values[str(depth)] for depth in (first, *others)}
    tested = against(str(first), chosen, seed, resamples)
    return tuple(Against(depth, tested[str(depth)][measure]) for depth in others)


def is_worse(tested: Tested) -> bool:
    """Whether a loss is more than chance explains."""
    return tested.p_holm < ERROR and tested.comparison.difference < 0


def scored_depth(candidates: Run, run: Run) -> int:
    """How many of the first candidates have a score in the run, for every query.

    Raises `InputError` when the run lists others, or lacks the first candidate of a query.
    """
    deepest = max((len(scores) for scores in candidates.values()), default=0)
    for query_id, scores in candidates.items():
        scored = run.get(query_id, {})
        foreign = len(scored.keys() - scores.keys())
        if foreign:
            raise InputError(
                f"{foreign} documents of the run are not among the first stage's for query {query_id!r}; "
                "give the first stage that it reranks"
            )
        reached = next((n for n, doc in enumerate(in_order(scores)) if doc not in scored), deepest)
        if reached == 0:
            raise InputError(
                f"the run does not score the first candidate of query {query_id!r}; a plan needs the scores "
                "of every query's best candidates, from the first one on"
            )
        deepest = min(deepest, reached)
    if deepest == 0:
        raise InputError("the first stage has no candidates for any judged query; nothing can be reranked")
    return deepest


def chosen_depths(asked: Sequence[int], deepest: int) -> list[int]:
    """The depths to try, with the deepest that was scored. Raises `InputError` for one beyond it."""
    beyond = [depth for depth in asked if depth > deepest]
    if beyond:
        raise InputError(
            f"--depth {beyond[0]}: the run scored the first {deepest} candidates of every query, not more; "
            "rerank deeper first"
        )
    return sorted(
        {*(asked or (depth for depth in DEPTHS if depth < deepest)), *(() if asked else (deepest,))}
    )


def pairs_a_query(candidates: Run, depth: int) -> float:
    """The median over queries of the pairs that reranking to `depth` scores."""
    return float(statistics.median(min(depth, len(scores)) for scores in candidates.values()))


def _best(points: Sequence[Point]) -> int:
    """The depth of the highest value; the least deep one of equals."""
    return max(points, key=lambda point: (point.value, -point.depth)).depth
