"""Measures against trec_eval and against values worked by hand."""

from __future__ import annotations

import math

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crosstune.errors import InputError
from crosstune.evaluate import EvaluationSettings, at_depth, ceiling, mean, per_query
from crosstune.evaluate.measures import check_runs
from crosstune.records import Qrels, Run

IDS = [f"d{i}" for i in range(12)]
QUERIES = ["q1", "q2", "q3"]
GRADES = st.dictionaries(st.sampled_from(IDS), st.integers(-1, 3), min_size=1, max_size=8)
# Few distinct scores, so that ties are common.
SCORES = st.dictionaries(st.sampled_from(IDS), st.sampled_from([0.0, 0.5, 1.0, 2.25]), min_size=1)


@settings(max_examples=150, deadline=None)
@given(
    qrels=st.dictionaries(st.sampled_from(QUERIES), GRADES, min_size=1),
    run=st.dictionaries(st.sampled_from(QUERIES), SCORES, min_size=1),
)
def test_equal_to_trec_eval_with_missing_queries_as_0(qrels: Qrels, run: Run) -> None:
    names = {"nDCG@10": "ndcg_cut_10", "AP@100": "map_cut_100", "R@100": "recall_100"}
    ours = per_query(qrels, run, list(names))
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map_cut.100", "recall.100"}).evaluate(run)
    for name, trec in names.items():
        assert set(ours[name]) == set(qrels)
        for query_id in qrels:
            expected = theirs[query_id][trec] if query_id in run else 0.0
            assert ours[name][query_id] == pytest.approx(expected, abs=1e-6)


def test_a_value_worked_by_hand() -> None:
    qrels = {"q": {"a": 2, "b": 1, "c": 0}}
    run = {"q": {"c": 3.0, "b": 2.0, "x": 1.5, "a": 1.0}}
    gained = 1 / math.log2(3) + 2 / math.log2(5)
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    values = per_query(qrels, run, ["nDCG@10", "RR@10", "Judged@10"])
    assert values["nDCG@10"]["q"] == pytest.approx(gained / ideal)
    assert values["RR@10"]["q"] == pytest.approx(1 / 2)
    assert values["Judged@10"]["q"] == pytest.approx(3 / 4)


def test_ties_break_by_document_id_descending() -> None:
    values = per_query({"q": {"b": 1}, "r": {"a": 1}}, {x: {"a": 1.0, "b": 1.0} for x in "qr"}, ["RR@10"])
    assert values["RR@10"] == {"q": 1.0, "r": 0.5}


@settings(max_examples=50, deadline=None)
@given(grades=GRADES, scores=SCORES, other=st.lists(st.floats(-5, 5), min_size=12, max_size=12))
def test_no_order_of_the_candidates_beats_the_ceiling(
    grades: dict[str, int], scores: dict[str, float], other: list[float]
) -> None:
    qrels, candidates = {"q": grades}, {"q": scores}
    reranked = {"q": dict(zip(scores, other, strict=False))}
    best = per_query(qrels, ceiling(qrels, candidates), ["nDCG@10"])["nDCG@10"]["q"]
    assert per_query(qrels, reranked, ["nDCG@10"])["nDCG@10"]["q"] <= best + 1e-9


def test_a_depth_reranks_the_top_and_keeps_the_rest_below() -> None:
    candidates = {"q": {"a": 9.0, "b": 8.0, "c": 7.0, "d": 6.0}}
    reranked = {"q": {"a": 0.1, "b": 0.2, "c": 0.9, "d": 5.0}}
    order = at_depth(candidates, reranked, 3)["q"]
    assert sorted(order, key=order.__getitem__, reverse=True) == ["c", "b", "a", "d"]


def test_the_mean_of_nothing_is_0() -> None:
    assert mean({}) == 0.0
    assert mean([1.0, 0.0]) == 0.5


def test_runs_of_another_split_are_refused() -> None:
    with pytest.raises(InputError, match="share no query"):
        check_runs({"1": {"a": 1}}, {"first_stage": {"q1": {"a": 1.0}}})


@pytest.mark.parametrize("tuned", [{"q": {"a": 1.0}}, {"q": {"a": 1.0, "b": 1.0, "new": 2.0}}, {}])
def test_a_run_over_other_candidates_is_refused(tuned: Run) -> None:
    runs = {"first_stage": {"q": {"a": 1.0, "b": 2.0}}, "tuned": tuned}
    with pytest.raises(InputError, match="must score exactly the first stage's candidates"):
        check_runs({"q": {"a": 1}}, runs)


def test_an_unknown_measure_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="'nDGC@10' is no measure"):
        EvaluationSettings(measures=["nDCG@10", "nDGC@10"])
