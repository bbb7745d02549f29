"""Fusion with the first stage: its formula, and that dev decides honestly."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.evaluate import mean, per_query
from crosstune.records import Qrels, Run
from crosstune.serve import Fusion
from crosstune.serve.fusion import standardised
from crosstune.train.fusion import fuse_run, try_fusion

scores = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30)


def test_a_value_worked_by_hand() -> None:
    # Mean 3, standard deviation 2: z is 1, -1, 1, -1.
    assert Fusion(0.5).fuse([1.0, 0.25, -2.0, 0.0], [5.0, 1.0, 5.0, 1.0]) == [1.5, -0.25, -1.5, -0.5]


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="the weight of the first stage"):
        Fusion(weight)


@given(scores, st.sampled_from([0.125, 4.0, 1024.0]), st.integers(-8, 8))
def test_unit_and_offset_of_the_first_stage_do_not_matter(
    first: list[float], unit: float, offset: int
) -> None:
    other = standardised([unit * score + offset for score in first])
    spread = max(first) - min(first)
    if spread == 0 or spread > 1e-2:  # below, the offset's rounding moves the scores themselves
        assert standardised(first) == pytest.approx(other, abs=1e-5)


@given(scores)
def test_standardised_scores_have_mean_0_and_deviation_1_or_are_0(first: list[float]) -> None:
    z = standardised(first)
    if min(first) == max(first):
        assert not z.any()
    else:
        assert z.mean() == pytest.approx(0, abs=1e-6)
        assert z.std() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("first", [[1e308, -1e308, 0.0], [5e-324, 0.0, 0.0], [1e308] * 3, [7.0]])
def test_the_ends_of_the_range_stay_finite(first: list[float]) -> None:
    assert all(abs(score) < 100 for score in Fusion(1.0).fuse([0.5] * len(first), first))


def test_equal_first_stage_scores_and_no_documents_change_nothing() -> None:
    assert Fusion(3.0).fuse([0.5, -1.5], [2.0, 2.0]) == [0.5, -1.5]
    assert Fusion(3.0).fuse([], []) == []


def test_the_scores_are_standardised_over_all_candidates_and_not_over_those_with_a_logit() -> None:
    candidates: Run = {"q": {"a": 5.0, "b": 1.0, "c": 5.0, "d": 1.0}, "none": {}}
    fused = fuse_run(Fusion(0.5), {"q": {"a": 1.0, "c": 2.0}, "none": {}}, candidates)
    assert fused == {"q": {"a": 1.5, "c": 2.5}, "none": {}}


def _dev(seed: int, queries: int, model: float, first: float) -> tuple[Qrels, Run, Run]:
    """20 candidates a query, one relevant; logits and first-stage scores are noise of deviation 1 that the
    relevant one exceeds by `model` and `first`."""
    rng = random.Random(seed)
    qrels: Qrels = {}
    logits: Run = {}
    candidates: Run = {}
    for number in range(queries):
        query_id = f"q{number}"
        qrels[query_id] = {"d0": 1}
        logits[query_id] = {f"d{i}": rng.gauss(model if i == 0 else 0, 1) for i in range(20)}
        candidates[query_id] = {f"d{i}": 7 * rng.gauss(first if i == 0 else 0, 1) for i in range(20)}
    return qrels, logits, candidates


def test_a_first_stage_that_knows_something_is_kept() -> None:
    trial = try_fusion(*_dev(1, 80, model=1.5, first=1.5), seed=3)
    assert trial.kept
    assert trial.fusion == Fusion(trial.weight)
    assert trial.weight > 0
    assert trial.fused > trial.tuned + 0.05
    assert trial.p < 0.05
    assert trial.grid["0"] == trial.tuned
    assert max(trial.grid.values()) >= trial.fused


def test_a_first_stage_of_noise_is_kept_no_more_often_than_chance() -> None:
    trials = [try_fusion(*_dev(seed, 40, model=1.0, first=0.0), seed=seed) for seed in range(20)]
    assert sum(trial.kept for trial in trials) <= 2
    # Without cross-validation, the best of ten weights looks better on many of them.
    assert sum(max(trial.grid.values()) > trial.tuned for trial in trials) > 7
    assert sum(trial.fused for trial in trials) <= sum(trial.tuned for trial in trials)
    assert all(trial.fusion is None for trial in trials if not trial.kept)


@pytest.mark.parametrize(("seed", "kept"), [(3, True), (5, False)])
def test_in_doubt_only_a_model_below_the_first_stage_is_fused(seed: int, kept: bool) -> None:
    qrels, logits, candidates = _dev(seed, 12, model=1.0, first=1.3)
    trial = try_fusion(qrels, logits, candidates, seed)
    assert trial.fused > trial.tuned
    assert trial.p > 0.2, "nothing is shown"
    assert (trial.tuned <= mean(per_query(qrels, candidates, ["nDCG@10"])["nDCG@10"])) == kept
    assert trial.kept == kept


def test_the_weight_follows_the_scale_of_the_logits() -> None:
    qrels, logits, candidates = _dev(1, 80, model=1.5, first=1.5)
    sharp = {query_id: {d: 10 * s for d, s in row.items()} for query_id, row in logits.items()}
    once, ten = (try_fusion(qrels, run, candidates, seed=3) for run in (logits, sharp))
    assert ten.weight == pytest.approx(10 * once.weight)
    assert ten.fused == pytest.approx(once.fused)


def test_too_few_queries_or_a_constant_model_keep_nothing() -> None:
    assert not try_fusion(*_dev(1, 1, model=0.0, first=5.0), seed=3).kept
    qrels, logits, candidates = _dev(1, 40, model=0.0, first=5.0)
    constant = {query_id: dict.fromkeys(row, 1.0) for query_id, row in logits.items()}
    trial = try_fusion(qrels, constant, candidates, seed=3)
    assert (trial.kept, trial.weight) == (False, 0.0)
