"""Any measure equals trec_eval: runs with ties, missing queries, negative grades and unjudged documents."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crosstune.assessment import chosen_measures
from crosstune.errors import InputError
from crosstune.evaluate import EvaluationSettings, per_query
from crosstune.evaluate.assess import Question, assess, relevant_from
from crosstune.evaluate.measures import check_measures, check_runs, total
from crosstune.records import Qrels, Run

NAMES = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG@3": "ndcg_cut_3",
    "nDCG": "ndcg",
    "AP": "map",
    "AP@5": "map_cut_5",
    "RR": "recip_rank",
    "P@5": "P_5",
    "R@5": "recall_5",
    "R@100": "recall_100",
    "Rprec": "Rprec",
    "Bpref": "bpref",
    "Success@1": "success_1",
    "Success@5": "success_5",
    "IPrec@0.2": "iprec_at_recall_0.20",
    "SetP": "set_P",
    "SetR": "set_recall",
    "NumRet": "num_ret",
    "NumRet(rel=1)": "num_rel_ret",
}
IDS = [f"d{i}" for i in range(14)] + ["é", "z\u4e2d"]
QUERIES = [f"q{i}" for i in range(5)]
GRADES = st.dictionaries(st.sampled_from(IDS), st.integers(-1, 4), min_size=1, max_size=10)
# Few distinct scores, so that ties are common; two pairs are apart in fp64 and equal in fp32.
SCORES = st.sampled_from([-3.5, 0.0, 0.5, 1.0, 1.00000001, 1.00000002, 2.25, 1e-30, -1e-30])
RUNS = st.dictionaries(
    st.sampled_from([*QUERIES, "unjudged"]),
    st.dictionaries(st.sampled_from(IDS), SCORES, min_size=1),
    min_size=1,
)


@settings(max_examples=200, deadline=None)
@given(qrels=st.dictionaries(st.sampled_from(QUERIES), GRADES, min_size=1), run=RUNS)
def test_every_measure_equals_trec_eval(qrels: Qrels, run: Run) -> None:
    # trec_eval itself may never end on a query with negative grades alone; the next test is about those.
    qrels = {q: judged if max(judged.values()) >= 0 else {**judged, "gone": 0} for q, judged in qrels.items()}
    families = {name.rpartition("_")[0] if name[-1].isdigit() else name for name in NAMES.values()}
    wanted = {f"{f}.3,5,10,100" if f in ("ndcg_cut", "map_cut", "P", "recall") else f for f in families}
    wanted = {w for w in wanted if not w.startswith(("iprec", "success"))} | {
        "iprec_at_recall",
        "success.1,5",
    }
    theirs = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    ours = per_query(qrels, run, list(NAMES))
    for name, trec in NAMES.items():
        expected = {q: theirs[q][trec] if q in theirs else 0.0 for q in qrels}
        assert ours[name] == pytest.approx(expected, abs=1e-6), name
        summed = sum(expected.values())
        mean = summed if name.startswith("Num") else summed / len(qrels)
        assert total(name, ours[name]) == pytest.approx(mean, abs=1e-6)


NEGATIVE_ONLY = """
import random
from crosstune.evaluate import per_query
rng = random.Random(1)
ids = [f"d{i}" for i in range(14)]
for _ in range(1500):  # whether trec_eval hangs depends on what lies in its memory
    qrels = {q: {d: rng.randint(-1, 4) for d in rng.sample(ids, rng.randint(1, 10))} for q in "qrst"}
    qrels["q"] = dict.fromkeys(qrels["q"], -1)
    run = {q: {d: rng.random() for d in rng.sample(ids, rng.randint(1, 14))} for q in "qrst"}
    assert per_query(qrels, run, ["nDCG@10", "AP", "R@5", "nDCG"])["nDCG"]["q"] == 0.0
qrels, run = {"q": {"a": -1}, "r": {"b": 1}}, {"q": {"a": 1.0}, "r": {"b": 1.0}}
print(per_query(qrels, run, ["nDCG", "NumRet", "Judged@10"]))
"""


def test_a_query_with_negative_grades_alone_counts_0_and_ends() -> None:
    # In a process of its own: a loop inside trec_eval cannot be interrupted.
    done = subprocess.run(
        [sys.executable, "-c", NEGATIVE_ONLY], capture_output=True, text=True, timeout=60, check=True
    )
    values = ast.literal_eval(done.stdout)
    assert values["nDCG"] == {"q": 0.0, "r": 1.0}
    assert values["NumRet"] == {"q": 1.0, "r": 1.0}
    assert values["Judged@10"] == {"q": 1.0, "r": 1.0}


@settings(max_examples=60, deadline=None)
@given(qrels=st.dictionaries(st.sampled_from(QUERIES), GRADES, min_size=1), run=RUNS)
def test_a_threshold_of_relevance_is_trec_evals_level(qrels: Qrels, run: Run) -> None:
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map", "recall.100"}, relevance_level=2).evaluate(run)
    names = {relevant_from("AP", 2): "map", relevant_from("R@100", 2): "recall_100"}
    assert list(names) == ["AP(rel=2)", "R(rel=2)@100"]
    ours = per_query(qrels, run, list(names))
    for name, trec in names.items():
        expected = {q: theirs[q][trec] if q in theirs else 0.0 for q in qrels}
        assert ours[name] == pytest.approx(expected, abs=1e-6)


def test_a_threshold_is_set_only_where_a_measure_takes_one_and_names_none() -> None:
    given_names = ["nDCG@10", "Judged@10", "NumRet", "RR(rel=3)@10"]
    assert [relevant_from(name, 2) for name in given_names] == given_names


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (["nDGC@10"], "'nDGC@10' is no measure of ir_measures"),
        (["nDCG@10", "nDCG@10"], "nDCG@10 is given twice"),
        (["RR@10", "MRR@10"], "MRR@10 is given twice, as RR@10 too"),
        (["P@10", "P(rel=1)@10"], "given twice, as P@10 too"),
        (["alpha_nDCG@10"], "alpha_nDCG@10: no installed package computes it"),
    ],
)
def test_measures_that_cannot_be_computed_are_refused(measures: list[str], message: str) -> None:
    """By a recipe too, but for a package that is missing: another machine may have it."""
    with pytest.raises(InputError, match=message):
        check_measures(measures)
    if "installed" not in message:
        with pytest.raises(ValidationError, match=message):
            EvaluationSettings(measures=measures)


def test_a_threshold_that_makes_two_measures_one_is_refused() -> None:
    with pytest.raises(InputError, match="given twice"):
        chosen_measures(["R@100", "R(rel=2)@100"], 2)


def test_no_query_stands_beside_the_candidates() -> None:
    """What the run answers and its first stage does not would lie above the ceiling."""
    qrels = {"one": {"a": 1}, "two": {"b": 1}}
    first: Run = {"one": {"a": 1.0}}
    check_runs(qrels, {"first_stage": first, "run": {**first, "nobody asked": {"c": 1.0}}})
    with pytest.raises(InputError, match=r"for query 'two' 0 are missing and 1 are not among them"):
        check_runs(qrels, {"first_stage": first, "run": {**first, "two": {"b": 1.0}}})


@pytest.mark.parametrize(("grade", "expected"), [(1, 1.0), (2, 0.0)])
def test_recall_at_a_depth_goes_by_the_grade_that_is_asked_for(grade: int, expected: float) -> None:
    run: Run = {"q": {"a": 2.0, "b": 1.0}}
    question = Question(["nDCG@10"], [1, 2], resamples=100, relevant=grade)
    found = assess({"q": {"a": 1, "c": 2} if grade == 2 else {"a": 1}}, {"run": run}, "run", question)
    assert found.metrics["depths"]["recall"] == {"1": expected, "2": expected}
