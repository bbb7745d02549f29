"""Measures by their ir_measures names, with trec_eval's semantics, and the ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from crosstune.errors import InputError
from crosstune.evaluate.ids import check_shared
from crosstune.records import Qrels, Run, ranking

if TYPE_CHECKING:
    from ir_measures import Measure

DEEPEST = 1_000_000
"""Ranks that a cutoff may name: beyond what any run lists, and within what the C code behind can hold."""
NOWHERE = "crosstune:no-such-document"

PerQuery = dict[str, dict[str, float]]
"""measure -> query id -> value."""


def parse(name: str) -> Measure:
    """The ir_measures object behind a name. Raises `ValueError` for a name that is none."""
    import ir_measures

    try:
        return ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError, TypeError, AttributeError):
        raise ValueError(
            f"{name!r} is no measure of ir_measures; for example nDCG@10, RR@10, R@100"
        ) from None


def check_names(names: Sequence[str]) -> dict[str, Measure]:
    """The measures by their names. Raises `InputError` for a name that is no measure and for one that is
    given twice, by another of its names as well."""
    given: dict[Measure, str] = {}
    for name in names:
        try:
            measure = parse(name)
        except ValueError as error:
            raise InputError(str(error)) from None
        _check_parameters(name, measure)
        if measure in given:
            also = f", as {given[measure]} too" if name != given[measure] else ""
            raise InputError(f"measure {name} is given twice{also}")
        given[measure] = name
    return {name: measure for measure, name in given.items()}


def check_measures(names: Sequence[str]) -> None:
    """Raises `InputError` as `check_names`, and for a measure that no installed package computes."""
    import ir_measures

    for name, measure in check_names(names).items():
        if not any(p.is_available() and p.supports(measure) for p in ir_measures.DefaultPipeline.providers):
            raise InputError(
                f"measure {name}: no installed package computes it; ir_measures lists the one that does "
                "(for example pip install cwl-eval for RBP, pyndeval for alpha_nDCG)"
            )


def _check_parameters(name: str, measure: Measure) -> None:
    """ir_measures asserts them when it computes, and the C code behind it aborts at a cutoff of 0."""
    try:
        measure.validate_params()
    except AssertionError as error:
        wrong = str(error).removeprefix("invalid param ").partition("=")[0]
        given = measure.params.get(wrong)
        found = f"it lacks {wrong}" if given is None else f"{wrong} cannot be {given!r}"
        raise InputError(f"measure {name}: {found}; for example P@10, or SDCG(max_rel=3)@10") from None
    depth = measure.params.get("cutoff", 1)
    if not 1 <= depth <= DEEPEST:
        raise InputError(f"measure {name}: its cutoff is {depth}; 1 to {DEEPEST:,} was expected")


def cutoff(name: str) -> float:
    """How deep a measure reads: its cutoff, or infinity."""
    return float(parse(name).params.get("cutoff", "inf"))


def total(name: str, by_query: Mapping[str, float]) -> float:
    """A measure over all queries, as trec_eval sums it up: the mean, or for counts (NumRet) the sum."""
    return sum(by_query.values()) if is_sum(name) else mean(by_query)


def is_sum(name: str) -> bool:
    import ir_measures

    return isinstance(parse(name).aggregator(), ir_measures.measures.base.SumAgg)


def per_query(qrels: Qrels, run: Run, measures: Sequence[str]) -> PerQuery:
    """Each measure for every query of the qrels; a query without results counts 0 (trec_eval -c).

    The score, in fp32 as trec_eval holds it, decides; ties break by document id, descending; an unjudged
    document is not relevant; the gain of nDCG is linear. Computed by ir_measures.
    """
    import ir_measures

    parsed = {parse(name): name for name in measures}
    values: PerQuery = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    judged = {query_id: _with_a_level(documents) for query_id, documents in qrels.items() if documents}
    # Ranks in place of scores: the tools behind ir_measures break ties in different ways (RR@10 comes
    # from the MS MARCO script), and ranks leave them none to break.
    answered = {
        query_id: {doc: float(-place) for place, doc in enumerate(in_order(run[query_id]))}
        for query_id in judged
        if run.get(query_id)
    }
    if answered:
        for metric in ir_measures.iter_calc(list(parsed), judged, answered):
            values[parsed[metric.measure]][metric.query_id] = float(metric.value)
    return values


def _with_a_level(documents: Mapping[str, int]) -> dict[str, int]:
    """The grades of one query. With negative ones alone, trec_eval's nDCG without cutoff looks for a level
    below its table, and may never end: a document that no run holds, judged not relevant, changes no value
    and gives it a level to find."""
    return dict(documents) if max(documents.values()) >= 0 else {**documents, NOWHERE: 0}


def in_order(scores: Mapping[str, float]) -> list[str]:
    """Document ids as trec_eval orders them: by score in fp32, ties by document id, descending."""
    return ranking(_fp32(scores))


def _fp32(scores: Mapping[str, float]) -> dict[str, float]:
    import numpy as np

    with np.errstate(over="ignore"):
        rounded = np.fromiter(scores.values(), dtype=np.float64, count=len(scores)).astype(np.float32)
    return dict(zip(scores, rounded.tolist(), strict=True))


def mean(values: Mapping[str, float] | Iterable[float]) -> float:
    """The mean over queries; 0 when there are none."""
    numbers = list(values.values() if isinstance(values, Mapping) else values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def ceiling(qrels: Qrels, candidates: Run) -> Run:
    """The best order of the same candidates: by grade. What the first stage missed stays missed."""
    return {
        query_id: {doc: float(max(0, qrels.get(query_id, {}).get(doc, 0))) for doc in scores}
        for query_id, scores in candidates.items()
    }


def at_depth(candidates: Run, reranked: Run, depth: int) -> Run:
    """The first `depth` candidates by the reranker's score, the others below in their own order.

    The scores of the result are ranks turned around: only their order has a meaning.
    """
    merged: Run = {}
    for query_id, scores in candidates.items():
        order = in_order(scores)
        best = in_order({doc: reranked[query_id][doc] for doc in order[:depth]})
        merged[query_id] = {doc: float(-place) for place, doc in enumerate(best + order[depth:])}
    return merged


def check_runs(qrels: Qrels, runs: Mapping[str, Run]) -> None:
    """Raises `InputError` unless the runs answer these queries and rerank the same candidates."""
    candidates = runs["first_stage"]
    check_shared(qrels, candidates, "the qrels", "the run", {})
    for name, run in runs.items():
        for query_id in dict.fromkeys([*candidates, *(query_id for query_id in run if query_id in qrels)]):
            scores = candidates.get(query_id, {})
            missing = scores.keys() - run.get(query_id, {}).keys()
            foreign = run.get(query_id, {}).keys() - scores.keys()
            if missing or foreign:
                raise InputError(
                    f"the run ({name}) must score exactly the first stage's candidates; for query "
                    f"{query_id!r} {len(missing)} are missing and {len(foreign)} are not among them"
                )
